"""Choose texts to label next: uncertain ones, and unlike each other.

Of the least certain texts, as many groups are made as rows are wanted, by weighted k-means over character n-grams: a
text that is less certain weighs more. The one nearest to the middle of each group is chosen, so that neither a hundred
forms of one text nor what is like nothing else takes all the places. (Zhdanov, Diverse mini-batch active learning,
2019.) Knows texts and numbers; knows no model.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from extractft.data import text_key
from extractft.errors import DatasetError

__all__ = ["choose_rows"]

OVERSAMPLING = 8
"""Texts that groups are made of, for each row that is wanted; all others are more certain."""
DIMENSIONS = 64
"""Of the space that groups are made in."""
FEATURES = 2**18
LONGEST_TEXT = 20_000
"""Characters of a text that are looked at."""
LEAST_WEIGHT = 1e-3
"""Weight of a text of which the model is sure."""


def choose_rows(
    texts: Sequence[str],
    count: int,
    *,
    confidences: Sequence[float | None] | None = None,
    labelled: Iterable[str] = (),
    seed: int = 0,
) -> list[int]:
    """The positions of the texts to label next, the least certain first.

    Args:
        texts: The texts without a label. Equal ones count once.
        count: How many are wanted; fewer are chosen if there are fewer different ones.
        confidences: Of each text's record, as calibrated as it can be; `None` for one that failed, which counts as
            uncertain. Without them, texts are chosen to be unlike each other alone.
        labelled: Texts that have a label; equal ones are not chosen.
        seed: Of the groups.

    Raises:
        DatasetError: `count` is no positive number, or there is not one confidence for each text.
    """
    if count < 1:
        raise DatasetError(f"expected a count of at least 1, found {count}")
    if confidences is not None and len(confidences) != len(texts):
        raise DatasetError(f"expected a confidence for each of {len(texts)} texts, found {len(confidences)}")
    doubts = np.ones(len(texts)) if confidences is None else np.array([_doubt(known) for known in confidences])
    places = _different(texts, labelled)
    places.sort(key=lambda place: (-doubts[place], place))
    if len(places) <= count:
        return places
    if confidences is not None:
        places = places[: count * OVERSAMPLING]
    chosen = _one_of_each_group([texts[place] for place in places], doubts[places], count, seed)
    left = (number for number in range(len(places)) if number not in chosen)
    while len(chosen) < count:  # where texts are so much alike that there are fewer groups
        chosen.add(next(left))
    return [places[number] for number in sorted(chosen)]


def _doubt(confidence: float | None) -> float:
    return 1.0 if confidence is None or confidence != confidence else max(LEAST_WEIGHT, 1.0 - confidence)


def _different(texts: Sequence[str], labelled: Iterable[str]) -> list[int]:
    """Positions of texts that are neither labelled nor equal to an earlier one."""
    seen = {text_key(text) for text in labelled}
    places = []
    for place, text in enumerate(texts):
        key = text_key(text)
        if key not in seen:
            seen.add(key)
            places.append(place)
    return places


def _one_of_each_group(texts: Sequence[str], doubts: Any, count: int, seed: int) -> set[int]:
    """The text nearest to the middle of each group."""
    from sklearn.cluster import KMeans

    vectors = _vectors(texts, seed)
    groups = KMeans(n_clusters=count, n_init=1, random_state=seed).fit(vectors, sample_weight=doubts)
    distances = np.linalg.norm(vectors - groups.cluster_centers_[groups.labels_], axis=1)
    nearest: dict[int, int] = {}
    for number in np.lexsort((np.arange(len(texts)), -doubts, distances)):
        nearest.setdefault(int(groups.labels_[number]), int(number))
    return set(nearest.values())


def _vectors(texts: Sequence[str], seed: int) -> Any:
    """Texts as points: hashed character n-grams, rare ones weighing more, brought down to a few dimensions."""
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer
    from sklearn.preprocessing import normalize

    hashed = HashingVectorizer(
        analyzer="char_wb", ngram_range=(2, 4), n_features=FEATURES, alternate_sign=False, norm=None
    ).transform(text[:LONGEST_TEXT] for text in texts)
    weighted = TfidfTransformer(sublinear_tf=True).fit_transform(hashed)
    dimensions = min(DIMENSIONS, len(texts) - 1)
    if dimensions < 2:
        return normalize(weighted).toarray()
    return normalize(TruncatedSVD(dimensions, random_state=seed).fit_transform(weighted))
