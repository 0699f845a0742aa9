"""What commands do with events of any number of columns, in the place of users and items."""
