"""What a column's name says of it, by the words of the name, however they are joined."""

import re

_IS = r"((is|was|has|did|ad|label)_?)*"
_FLAG = r"(_(label|flag|bool|(on_)?ad))?"
# A label by its name, the surer first: one called so, a click, and what comes of clicks.
LABELS = (
    re.compile("labels?|target|y"),
    re.compile(rf"{_IS}(clicks?|clicked|clk){_FLAG}"),
    re.compile(
        rf"{_IS}(conversion|converted|attribut(ed|ion)|purchased?|bought|install(ed)?|"
        rf"book(ed|ing)){_FLAG}"
    ),
)
OUTCOME = len(LABELS) - 1
_TIME = re.compile(
    r"((event|click|clk|view|impression|imp|show|exposure|server|request|visit|log|bid|action|"
    r"local|start|unix)_?)*"
    r"(time|ts|date|day|dt|ds|pt(_d)?|hour|epoch|(created|occurred|logged)_at)"
    r"(_?(time|stamp|hour|ts|ms|us|ns|s|sec|millis|utc|local))*"
)
_STAMP = re.compile(r".*(stamp|ts)(_(ms|us|ns|s))?")
_THING = (
    "(user|item|ad|adgroup|campaign|customer|client|brand|merchant|seller|shop|store|publisher|"
    "advertiser|creative|banner|placement|slot|channel|app|device|os|browser|city|region|country|"
    "cate?|category|segment|keyword|query|url|domain|site|product|movie|video|article|document|"
    "account|session|visitor|order)"
)
# Of pandas an index is `index`, `level_0`, `Unnamed: 0`, or has no name.
_ID = re.compile(
    r"(.*_)?([cgpsuv]?ids?|no|nr|zip|key|sku|ip|isbn|asin|uuid)|.*code|"
    rf".*{_THING}id|index|(index_)?level_\d+|unnamed_\d+|"
)
_OF_THING = re.compile(rf"(.*_)?{_THING}_?\d*|c_?\d+")
_AMOUNT = re.compile(
    r"(^|_)(n|nb|num|counts?|cnt|total|sum|avg|mean|median|min|max|std|per|since|until|of|age|"
    r"days?|hours?|minutes?|sec|seconds?|ms|duration|length|fee|[a-z]*(time|width|height|size|"
    r"price|cost)|amount|value|revenue|spend|salary|income|balance|budget|bid|score|rate|ratio|percent|pct|"
    r"distance|weight|year|rank|position|quantity|qty)(_|$)"
)


def words(name: str) -> str:
    """The words of a name, in lower case and joined by `_`: of "userId" as of "User ID" user_id."""
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    return re.sub(r"[\W_]+", "_", parted.lower()).strip("_")


def label_rank(name: str) -> int | None:
    """Which of `LABELS` a name is of; None if it is that of no label."""
    ranks = (at for at, one in enumerate(LABELS) if one.fullmatch(words(name)))
    return next(ranks, None)


def is_time(name: str) -> bool:
    """Whether a name is that of the time of an event, not of anything else."""
    return _TIME.fullmatch(words(name)) is not None


def is_stamp(name: str) -> bool:
    """Whether the name of a time is that of one even where its numbers are no dates."""
    return _STAMP.fullmatch(words(name)) is not None


def is_id(name: str) -> bool:
    """Whether a name is that of an id or a code."""
    return _ID.fullmatch(words(name)) is not None


def is_thing(name: str) -> bool:
    """Whether a name is that of a thing, as an ad, by which its id or code is meant."""
    return _OF_THING.fullmatch(words(name)) is not None and not is_amount(name)


def is_amount(name: str) -> bool:
    """Whether a name has a word of how much or how many."""
    return _AMOUNT.search(words(name)) is not None
