"""What can be broken in a file: a condition negated, a comparison or and/or swapped, a number moved.

The operators are cosmic-ray's where it has them. It knows no `in`, no `elif` and no condition of a comprehension, and it
negates only the first half of `a and b`: those two are ours, in the same form (`mutate_code` asks for these two methods).
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.operators.boolean_replacer import ReplaceAndWithOr, ReplaceOrWithAnd
from cosmic_ray.operators.comparison_operator_replacement import operators
from cosmic_ray.operators.number_replacer import NumberReplacer

Span = tuple[tuple[int, int], tuple[int, int]]

# The opposite of a comparison, and its neighbour: `<` for `==` breaks nothing more than `!=` does.
_SWAPS = {
    *("Eq_NotEq", "NotEq_Eq", "Is_IsNot", "IsNot_Is"),
    *("Lt_LtE", "Lt_GtE", "LtE_Lt", "LtE_Gt", "Gt_GtE", "Gt_LtE", "GtE_Gt", "GtE_Lt"),
}


class NegateCondition:
    """`if x:` becomes `if not (x):`, for if, elif, while, a ternary and a comprehension too."""

    @staticmethod
    def _conditions(node: Any) -> list[int]:
        children = getattr(node, "children", [])
        if node.type in ("if_stmt", "while_stmt"):
            return [index + 1 for index, child in enumerate(children) if child in ("if", "elif", "while")]
        return {"ternary": [2], "test": [2], "comp_if": [1]}.get(node.type, [])

    def mutation_positions(self, node: Any) -> Iterator[Span]:
        for index in self._conditions(node):
            if len(node.children) > index:
                yield node.children[index].start_pos, node.children[index].end_pos

    def mutate(self, node: Any, index: int) -> Any:
        place = self._conditions(node)[index]
        node.children[place] = get_ast(f" not ({node.children[place].get_code().strip()})")
        return node


class SwapIn:
    """`in` becomes `not in` and the other way round."""

    @staticmethod
    def _places(node: Any) -> list[int]:
        if node.type != "comparison":
            return []
        return [index for index in range(1, len(node.children), 2) if node.children[index].get_code().split()[-1] == "in"]

    def mutation_positions(self, node: Any) -> Iterator[Span]:
        for index in self._places(node):
            yield node.children[index].start_pos, node.children[index].end_pos

    def mutate(self, node: Any, index: int) -> Any:
        place = self._places(node)[index]
        swapped = " in" if node.children[place].get_code().split() == ["not", "in"] else " not in"
        node.children[place] = get_ast(swapped)
        return node


_OPERATORS: list[Any] = [
    NegateCondition(),
    SwapIn(),
    ReplaceAndWithOr(),
    ReplaceOrWithAnd(),
    NumberReplacer(),
    *(found() for found in operators() if found.__name__.removeprefix("ReplaceComparisonOperator_") in _SWAPS),
]


class Breakage(NamedTuple):
    """One way to break one place: the `occurrence`-th that this operator finds in the file."""

    path: Path
    line: int
    operator: Any
    occurrence: int

    def apply(self, source: str) -> str:
        """The file's text, broken."""
        return str(mutate_code(source, self.operator, self.occurrence))


def places(path: Path) -> list[list[Breakage]]:
    """Every place in a file that can be broken, with the ways to break it."""
    found: dict[tuple[Span, int], list[Breakage]] = defaultdict(list)
    nodes = list(ast_nodes(get_ast(path.read_text())))
    for kind, operator in enumerate(_OPERATORS):
        positions = [span for node in nodes for span in operator.mutation_positions(node)]
        for occurrence, span in enumerate(positions):
            # a condition that is one name begins where the name does: the kind keeps the two apart
            found[span, min(kind, 1)].append(Breakage(path, span[0][0], operator, occurrence))
    return list(found.values())


def sample(paths: list[Path], size: int, seed: int) -> list[Breakage]:
    """As many different places, each broken in one way, always the same for one seed and one state of the files."""
    chance = random.Random(seed)
    every = [ways for path in sorted(paths) for ways in places(path)]
    return [chance.choice(ways) for ways in chance.sample(every, min(size, len(every)))]
