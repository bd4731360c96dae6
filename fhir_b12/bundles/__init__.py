"""A patient's whole record as a Bundle, and Bundles of any kind as records.

https://hl7.org/fhir/R4/bundle.html

In a record, references to its other records go by business identifier; in a Bundle by `urn:uuid`.
"""

from fhir_b12.bundles.change import update_bundle
from fhir_b12.bundles.read import BundleReading, Place, from_bundle
from fhir_b12.bundles.write import NAMESPACE, Kind, by_type, resources, to_bundle

__all__ = [
    "NAMESPACE",
    "BundleReading",
    "Kind",
    "Place",
    "by_type",
    "from_bundle",
    "resources",
    "to_bundle",
    "update_bundle",
]
