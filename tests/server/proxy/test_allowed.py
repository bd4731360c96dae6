from tests.server.auth.test_allowed import *  # noqa: F403

# a total is not told to who may see a part
del test_a_restriction_bounds_what_is_found_and_written  # noqa: F821
