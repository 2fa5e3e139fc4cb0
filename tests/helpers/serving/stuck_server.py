"""`lit-genre` with a part that never ends, its first argument: the decoder, or the model."""

import sys

if __name__ == "__main__":
    # Not above: each worker process imports this module again.
    from lit_genre.__main__ import main
    from lit_genre.serve import service
    from tests.helpers.serving import workload

    part = sys.argv.pop(1)
    if part == "decoder":
        service.decode_to_file = workload.hang_beside  # type: ignore[assignment]
    else:
        service.listen = workload.hang  # type: ignore[assignment]
    main()
