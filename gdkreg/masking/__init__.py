"""What is shown of a value. A key that is known to be public is shown; the value of every other key is `***`.

`public` knows the keys, `structure` masks parsed values, `text` masks addresses, headers, bodies and other programs' words.
"""
