from tests.server.auth.test_refused import *  # noqa: F403

# refused, not bounded: see test_tokens.py
del test_a_chain_obeys_the_restrictions_of_its_target  # noqa: F821
