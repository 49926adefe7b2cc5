"""`verify`: the chain from a client to the registry, hop by hop, and a real push, pull and delete at its end."""
