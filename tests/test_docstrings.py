"""What `help()` shows: every field of a record, every parameter and error of the public functions."""

import ast
import inspect
import re
import textwrap

import msgspec
import pytest

import fhir_b12
from fhir_b12 import records

RECORD_CLASSES = [
    item
    for name in records.__all__
    if isinstance(item := getattr(records, name), type)
    and issubclass(item, records.Record | records.Part)
]
EXPORTED = {name: getattr(fhir_b12, name) for name in fhir_b12.__all__}
FUNCTIONS = {name: item for name, item in EXPORTED.items() if inspect.isfunction(item)}
METHODS = {
    f"{name}.{method.__name__}": method
    for name, item in EXPORTED.items()
    if inspect.isclass(item)
    for method in vars(item).values()
    if inspect.isfunction(method)
    and not method.__name__.startswith("_")
    and len(inspect.signature(method).parameters) > 1
}
CALLABLES = {**FUNCTIONS, **METHODS}


def described(doc, section):
    """Return the names that a section of a docstring describes, with their text."""
    _, _, text = inspect.cleandoc(doc or "").partition(f"{section}:\n")
    text = re.split(r"\n(?=\S)", text)[0]
    return dict(re.findall(r"^    (\*{0,2}\w+): +(\S.*)", text, re.MULTILINE))


@pytest.mark.parametrize("record", RECORD_CLASSES, ids=lambda record: record.__name__)
def test_help_describes_every_field_of_a_record(record):
    assert list(described(record.__doc__, "Attributes")) == sorted(
        record.__struct_fields__, key=list(described(record.__doc__, "Attributes")).index
    )
    fields = {field.name for field in msgspec.structs.fields(record)}
    assert set(described(record.__doc__, "Attributes")) == fields


def test_a_quantity_of_a_record_names_its_unit():
    for record in (records.Infusion, records.LabResult, records.Ingredient, records.Medication):
        attributes = described(record.__doc__, "Attributes")
        quantities = {"dose", "rate", "value", "strength", "amount"} & attributes.keys()
        assert [name for name in quantities if "UCUM" not in attributes[name]] == []


@pytest.mark.parametrize("name", CALLABLES)
def test_a_public_function_documents_its_parameters_and_result(name):
    function = CALLABLES[name]
    signature = inspect.signature(function)
    expected = [
        f"**{p.name}"
        if p.kind is p.VAR_KEYWORD
        else f"*{p.name}"
        if p.kind is p.VAR_POSITIONAL
        else p.name
        for p in signature.parameters.values()
        if p.name != "self"
    ]
    assert list(described(function.__doc__, "Args")) == expected
    assert "Returns:\n" in function.__doc__ or "Yields:\n" in function.__doc__


@pytest.mark.parametrize("name", CALLABLES)
def test_a_public_function_documents_the_errors_it_raises_itself(name):
    function = CALLABLES[name]
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    raised = {
        ast.unparse(node.exc).partition("(")[0].rpartition(".")[2]
        for node in ast.walk(tree)
        if isinstance(node, ast.Raise) and node.exc is not None
    }
    raised = {error for error in raised if error[:1].isupper()}
    assert raised - described(function.__doc__, "Raises").keys() == set()


@pytest.mark.parametrize("name", EXPORTED)
def test_an_exported_name_has_a_docstring_of_its_own(name):
    assert EXPORTED[name].__doc__
