"""From a graph to the instructions of a tape: what is left out, what is put together, and where numbers are kept.

A graph arrives as arrays over its `n` nodes, in the order in which `micro` computes them:

op (n,): the row of the table of operations that made a node, counted from 1; 0 for a leaf.
parents (n, 3): the numbers of the nodes it was made from, -1 where it has fewer.

Everything here is a walk or two along these arrays, so that a graph of 100,000 nodes is planned in milliseconds.
"""

import numpy as np
from numba import njit

#: The columns of an instruction: what is done, the rows of its result and arguments, the rows of their gradients, and
#: which part of `fresh` names the gradients that begin here.
OP, RESULT, FIRST, SECOND, THIRD, GRAD, GRAD_FIRST, GRAD_SECOND, GRAD_THIRD, FRESH, FRESH_END = range(11)
COLUMNS = 11
#: The operation that is no row of the table: result = base + a[0] * b[0] + a[1] * b[1] + ..., from left to right. Its
#: FIRST is the base; SECOND and THIRD say which part of `pairs` lists the factors.
DOT = 0


@njit(cache=True, nogil=True)
def reach(parents, marked):
    """Which nodes depend on a marked one, themselves included."""
    reached = marked.copy()
    for node in range(len(parents)):
        for parent in parents[node]:
            if parent >= 0 and reached[parent]:
                reached[node] = True
    return reached


@njit(cache=True, nogil=True)
def feeds(parents, takes):
    """Which nodes are parents of a node that `takes`."""
    fed = np.zeros(len(parents), np.bool_)
    for node in range(len(parents)):
        if takes[node]:
            for parent in parents[node]:
                if parent >= 0:
                    fed[parent] = True
    return fed


@njit(cache=True, nogil=True)
def chains(op, parents, member, fixed, add, mul):
    """Sums of products, which become one instruction each: (start, absorbed).

    A step of a chain is a sum s = t + p whose second argument is a product that nothing else uses; it goes on at t, if
    t is such a step and nothing else uses it. start[s] is the first step of the chain that ends in s, or -1; the nodes
    within a chain, its last step apart, are `absorbed`.

    A chain hands on its gradients all at once, when its last step is due; one by one they would be handed on later. So
    that every sum of gradients keeps its order, and with it its last digit, a chain is cut where a factor gets another
    gradient in between.
    """
    n = len(op)
    uses, later = _uses(parents, member)
    start = np.full(n, -1)
    absorbed = np.zeros(n, np.bool_)
    chain = np.full(n, -1)  # the last step of the chain that a node belongs to
    for end in range(n - 1, -1, -1):
        if chain[end] >= 0 or not _is_step(end, op, parents, member, fixed, uses, add, mul):
            continue
        last = step = end
        while True:
            product, before = parents[step, 1], parents[step, 0]
            goes_on = uses[before] == 1 and fixed[before] < 0
            goes_on = goes_on and _is_step(before, op, parents, member, fixed, uses, add, mul)
            early = _waits(later[product, 0], last, chain) or _waits(later[product, 1], last, chain)
            if early or (not goes_on and _waits(later[step, 0], last, chain)):
                last = step  # a chain of its own ends here
                absorbed[step] = False
            chain[step] = chain[product] = last
            absorbed[product] = True
            start[last] = step
            if not goes_on:
                break
            absorbed[before] = True
            step = before
    return start, absorbed


@njit(cache=True, nogil=True)
def _uses(parents, member):
    """How often each node is an argument, and for each argument which node uses the same one next, or n."""
    n = len(parents)
    uses = np.zeros(n, np.int64)
    later = np.full((n, 3), n)
    following = np.full(n, n)
    for node in range(n - 1, -1, -1):
        if member[node]:
            for i in range(3):
                parent = parents[node, i]
                if parent >= 0:
                    uses[parent] += 1
                    later[node, i] = following[parent]
            for parent in parents[node]:
                if parent >= 0:
                    following[parent] = node
    return uses, later


@njit(cache=True, nogil=True)
def _is_step(node, op, parents, member, fixed, uses, add, mul):
    """Whether a node is a sum whose second argument is a product that nothing else uses."""
    if not member[node] or op[node] != add:
        return False
    product = parents[node, 1]
    return member[product] and op[product] == mul and uses[product] == 1 and fixed[product] < 0


@njit(cache=True, nogil=True)
def _waits(user, last, chain):
    """Whether another user of an argument, outside of the chain that ends in `last`, would have to come first."""
    return user < last and chain[user] != last


@njit(cache=True, nogil=True)
def arguments(nodes, parents, start):
    """The arguments of each instruction: those of instruction t are found[begin[t] : begin[t + 1]].

    nodes: which node each instruction computes. A chain has its factors, from the first step to the last, and its base.
    """
    begin = np.zeros(len(nodes) + 1, np.int64)
    found = np.empty(3 * len(parents), np.int64)
    for t in range(len(nodes)):
        node, end = nodes[t], begin[t]
        if start[node] < 0:
            for parent in parents[node]:
                if parent >= 0:
                    found[end] = parent
                    end += 1
        else:
            step = node
            while step != start[node]:
                step = parents[step, 0]
                end += 2
            end += 3
            found[end - 1] = parents[step, 0]
            step = node
            for place in range(end - 3, begin[t] - 1, -2):
                product, step = parents[step, 1], parents[step, 0]
                found[place], found[place + 1] = parents[product, 0], parents[product, 1]
        begin[t + 1] = end
    return begin, found[: begin[-1]]


@njit(cache=True, nogil=True)
def instructions(op, member, fixed, start, nodes, begin, found, trash, needs, places):
    """The instructions of a program, with the rows in which values and gradients are kept.

    member (n,): which nodes the program computes.
    fixed (n,): the rows of leaves, and of results that must lie in a certain row; -1 for all others.
    start, nodes, begin, found: see `chains` and `arguments`.
    trash: the row for gradients that nobody wants: those of the leaves whose row is `trash` or higher.
    needs (operations, 4): whether the slopes of an operation need its result, and its first, second, third argument.
    places: the number of rows that are taken from the beginning.

    A value's row is used again when the last instruction that needs it, forward or backward, is done; a gradient's row
    when it has been handed on. Returns code, pairs and fresh, the numbers of rows of values and of gradients, and the
    row and the gradient's row of the last node.
    """
    code = np.zeros((len(nodes), COLUMNS), np.uint32)
    last = _last_uses(op, start, nodes, begin, found, needs)
    row, rows = _value_rows(fixed, last, nodes, begin, found, places)
    grad_row, grad_rows, fresh = _gradient_rows(fixed, nodes, begin, found, trash, code)
    pairs, count = np.empty((len(found) // 2, 4), np.uint32), 0
    for t in range(len(nodes)):
        node, first, end = nodes[t], begin[t], begin[t + 1]
        code[t, RESULT], code[t, GRAD] = row[node], grad_row[node]
        if start[node] < 0:
            code[t, OP] = op[node]
            for i in range(end - first):
                code[t, FIRST + i], code[t, GRAD_FIRST + i] = row[found[first + i]], grad_row[found[first + i]]
            continue
        base = found[end - 1]
        code[t, OP], code[t, FIRST], code[t, GRAD_FIRST], code[t, SECOND] = DOT, row[base], grad_row[base], count
        for place in range(first, end - 1, 2):
            for i in range(2):
                pairs[count, i], pairs[count, 2 + i] = row[found[place + i]], grad_row[found[place + i]]
            count += 1
        code[t, THIRD] = count
    return code, pairs[:count].copy(), fresh, rows, grad_rows, row[-1], grad_row[-1]


@njit(cache=True, nogil=True)
def _last_uses(op, start, nodes, begin, found, needs):
    """For each node the moment of its last use: instruction t is due at moment t, and 2 m - 1 - t on the way back."""
    m = len(nodes)
    last = np.full(len(op), -1)
    for t in range(m):
        node, back = nodes[t], 2 * m - 1 - t
        chain = start[node] >= 0
        if not chain and needs[op[node], 0]:
            last[node] = back
        for place in range(begin[t], begin[t + 1]):
            needed = place < begin[t + 1] - 1 if chain else needs[op[node], 1 + place - begin[t]]
            last[found[place]] = max(last[found[place]], back if needed else t)
    last[-1] = 2 * m
    return last


@njit(cache=True, nogil=True)
def _value_rows(fixed, last, nodes, begin, found, places):
    """A row for each value: (rows, how many there are)."""
    row, rows = fixed.copy(), places
    free, count = np.empty(len(fixed), np.int64), 0
    for t in range(len(nodes)):
        if row[nodes[t]] < 0:
            if count > 0:
                count -= 1
                row[nodes[t]] = free[count]
            else:
                row[nodes[t]] = rows
                rows += 1
        for argument in found[begin[t] : begin[t + 1]]:
            if last[argument] == t and fixed[argument] < 0:
                last[argument] = -1  # it may be the next argument, too
                free[count] = row[argument]
                count += 1
    return row, rows


@njit(cache=True, nogil=True)
def _gradient_rows(fixed, nodes, begin, found, trash, code):
    """A row for each gradient: (rows, how many there are, those to set to zero). `code` is told which part of these."""
    row, rows = np.minimum(fixed, trash), trash + 1
    free, count = np.empty(len(fixed), np.int64), 0
    fresh, begun = np.empty(len(fixed), np.uint32), 0
    if row[-1] < 0:
        row[-1] = rows
        rows += 1
    for t in range(len(nodes) - 1, -1, -1):
        code[t, FRESH] = begun
        for argument in found[begin[t] : begin[t + 1]]:
            if row[argument] >= 0:
                continue
            if count > 0:
                count -= 1
                row[argument] = free[count]
            else:
                row[argument] = rows
                rows += 1
            fresh[begun] = row[argument]
            begun += 1
        code[t, FRESH_END] = begun
        if fixed[nodes[t]] < 0 and t < len(nodes) - 1:
            free[count] = row[nodes[t]]
            count += 1
    return row, rows, fresh[:begun].copy()
