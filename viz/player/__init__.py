"""One step of training, played: plain records of what happens (`records`), pictures of them (`frames`), and the page
that plays them (`page`, with its style and script beside it). `steps` is how it is asked for.
"""
