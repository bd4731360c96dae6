from tests.server.fhir.test_export import *  # noqa: F403
