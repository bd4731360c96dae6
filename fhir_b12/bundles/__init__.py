"""Therapy records as Bundles, and Bundles of any type as therapy records.

https://hl7.org/fhir/R4/bundle.html

Records refer to each other by business identifier, the entries of a Bundle by `urn:uuid`.
"""

from fhir_b12.bundles.change import update_bundle
from fhir_b12.bundles.read import BundleReading, EntryReading, from_bundle
from fhir_b12.bundles.write import NAMESPACE, BundleType, by_type, resources, to_bundle

__all__ = [
    "NAMESPACE",
    "BundleReading",
    "BundleType",
    "EntryReading",
    "by_type",
    "from_bundle",
    "resources",
    "to_bundle",
    "update_bundle",
]
