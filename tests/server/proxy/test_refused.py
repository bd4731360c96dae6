from tests.server.auth.test_refused import *  # noqa: F403

# refused, not bounded: see test_tokens.py
del test_a_chain_is_held_to_the_bounds_of_what_it_leads_to  # noqa: F821
