"""Search parameter types: how each is indexed and how it is searched, one file per type.

https://hl7.org/fhir/R4/search.html#ptypes
"""

from collections.abc import Mapping
from types import MappingProxyType

from fhir_b12.server.search.types import date, quantity, reference, string, token, uri
from fhir_b12.server.search.types.parameter_type import ParameterType

#: by the type code of a SearchParameter; `composite` is made of these, `special` of none
TYPES: Mapping[str, ParameterType] = MappingProxyType({
    "token": token.TYPE, "string": string.TYPE, "uri": uri.TYPE, "reference": reference.TYPE,
    "date": date.TYPE, "quantity": quantity.TYPE, "number": quantity.TYPE,
})  # fmt: skip
