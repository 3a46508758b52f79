"""Masks for attention, and the softmax that obeys them.

Attention sees every key unless told otherwise. Two things have to be hidden:
the padding of a batch of unequal lengths and, in a decoder, the future.
Write both masks, then the softmax that turns masked scores into weights.

Convention: a mask is boolean and True means "may attend". It broadcasts
against scores of shape (..., Lq, Lk), so masks combine with `&`.

1. `causal_mask`: query i sees itself and what came before. With a key/value
   cache there are more keys than queries, and the queries are the LAST
   positions:

       causal_mask(2, 4)    1 1 1 0
                            1 1 1 1

2. `padding_mask`: lengths of sequences -> which positions are real tokens.

3. `masked_softmax`: softmax over the last dimension, over the visible keys
   only. It must hold
   - for any scores: of size 1e4 and more, huge or infinite where masked;
   - for float64, float32, float16 and bfloat16. The result has the scores'
     dtype; half precision is accumulated in float32;
   - for rows that may attend to nothing, such as the pad queries of a
     left-padded batch: all zeros, gradient zero, never NaN. backward() works
     even if no row sees anything;
   - for a mask of any shape that broadcasts to the scores' shape.

No function may change its inputs. The gradient with respect to the scores
must be right as well.

Papers: Vaswani et al. 2017, Attention Is All You Need, sections 3.1, 3.2.3.
"""

from torch import Tensor


def causal_mask(n_queries: int, n_keys: int | None = None) -> Tensor:
    """Which keys each query may see when nobody sees the future.

    n_keys: defaults to n_queries. With more keys than queries, the queries are the last n_queries positions.
    Returns bool (n_queries, n_keys), True = may attend. ValueError if n_keys < n_queries.
    """
    raise NotImplementedError


def padding_mask(lengths: Tensor, max_length: int | None = None) -> Tensor:
    """Which positions of a padded batch hold real tokens.

    lengths: (B,), any integer dtype; 0 is an empty sequence.
    max_length: the padded length, which may be beyond the range of that dtype; defaults to the longest.
    Returns bool (B, max_length), True = real token. ValueError if max_length is shorter than the longest.
    """
    raise NotImplementedError


def masked_softmax(scores: Tensor, mask: Tensor | None = None) -> Tensor:
    """Softmax over the last dimension, over the keys that may be seen.

    scores: (..., Lk), float64, float32, float16 or bfloat16.
    mask: bool, broadcasts to the shape of scores, True = may attend; None hides nothing.
    Returns the weights: shape and dtype of scores, exactly 0 where masked, all zeros (with zero gradient) in
    a row that may attend to nothing.
    """
    raise NotImplementedError
