"""No module imports, by any way, a module that imports it; imports inside functions count too."""

import graphlib

import grimp


def test_the_imports_have_no_circle() -> None:
    graph = grimp.build_graph("notifier", "consumers", exclude_type_checking_imports=True)
    # A package's own module imports nothing but what its users ask it for by name.
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}

    try:
        order = list(graphlib.TopologicalSorter(imports).static_order())
    except graphlib.CycleError as error:
        raise AssertionError(f"a circle: {' → '.join(error.args[1])}") from error

    assert len(order) == len(imports) > 300
