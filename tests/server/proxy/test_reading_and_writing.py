from tests.server.fhir.test_reading_and_writing import *  # noqa: F403
