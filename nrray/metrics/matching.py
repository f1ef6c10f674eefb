"""One-to-one matchings of candidate and reference spans: as many pairs as can be, and of those the nearest."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components, maximum_bipartite_matching

IntArray = NDArray[np.int64]


def matched_rows(left: IntArray, right: IntArray, *, num_left: int, num_right: int) -> IntArray:
    """The left rows of a matching of maximum size over the admissible pairs (left, right), each pair once."""
    if len(left) == 0:
        return np.zeros(0, np.int64)
    graph = csr_matrix((np.ones(len(left), np.int8), (left, right)), shape=(num_left, num_right))
    column = maximum_bipartite_matching(graph, perm_type="column")
    return np.flatnonzero(column >= 0).astype(np.int64)


def nearest_pairs(left: IntArray, right: IntArray, distance: IntArray, *, num_left: int, num_right: int) -> IntArray:
    """Indices into the pairs of a matching of maximum size and, among those, least total distance (>= 0)."""
    if len(left) == 0:
        return np.zeros(0, np.int64)
    nodes = num_left + num_right
    graph = csr_matrix((np.ones(len(left), np.int8), (left, num_left + right)), shape=(nodes, nodes))
    _, component = connected_components(graph, directed=False)
    group = component[left]
    order = np.argsort(group, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(group[order])) + 1)
    return np.concatenate([part if len(part) == 1 else _nearest(part, left, right, distance) for part in parts])


def _nearest(pairs: IntArray, left: IntArray, right: IntArray, distance: IntArray) -> IntArray:
    if len(pairs) == 2:  # two pairs of one component share a span
        return pairs[[distance[pairs].argmin()]]
    rows, row = np.unique(left[pairs], return_inverse=True)
    columns, column = np.unique(right[pairs], return_inverse=True)
    far = float(
        distance[pairs].sum() + 1
    )  # more than all admissible pairs cost together: the matching stays of maximum size
    cost = np.full((len(rows), len(columns)), far)
    cost[row, column] = distance[pairs]
    index = np.full(cost.shape, -1, np.int64)
    index[row, column] = pairs
    found: IntArray = index[linear_sum_assignment(cost)]
    return found[found >= 0]
