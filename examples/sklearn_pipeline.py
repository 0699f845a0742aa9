"""A scikit-learn pipeline over columns of categories, which never sees a list of them."""

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tablefree.sklearn import HashEncoder

rng = np.random.default_rng(0)
cities = np.array([f"city {number}" for number in range(100)])
places = rng.integers(100, size=4000)
visits = pd.DataFrame({"city": cities[places], "age": rng.normal(40, 10, 4000)})
is_bought = rng.random(4000) < 1 / (1 + np.exp(-rng.normal(0, 2, 100)[places]))

model = make_pipeline(
    ColumnTransformer(
        [("codes", HashEncoder(num_hashes=128), ["city"]), ("scale", StandardScaler(), ["age"])]
    ),
    LogisticRegression(max_iter=1000),
)
model.fit(visits[:3000], is_bought[:3000])
auc = roc_auc_score(is_bought[3000:], model.predict_proba(visits[3000:])[:, 1])
print(f"{model[0].get_feature_names_out()[0]}, ...: {model[-1].n_features_in_} columns")
print(f"AUC {auc:.3f}")
# A new category has a code of its own.
print(model.predict(pd.DataFrame({"city": ["Atlantis"], "age": [30.0]})).shape)
