"""What training did, with Matplotlib.

Every function takes `ax`, draws into a new figure where it is left out, returns the axes, and neither shows nor saves
anything. All take plain arrays, or a history as `nn.fit` returns it. They raise TypeError for axes that are not flat
(`loss_surface`: that are) and for what are no numbers, ValueError for shapes, names and settings that cannot be.
"""
