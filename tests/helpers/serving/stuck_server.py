"""Run `lit-genre` with a part that never returns; the first argument names it: decoder or model."""

import sys

if __name__ == "__main__":
    # Imported here, because each worker process imports this module again.
    from lit_genre.__main__ import main
    from lit_genre.serve import service
    from tests.helpers.serving import workload

    part = sys.argv.pop(1)
    if part == "decoder":
        service.decode_to_file = workload.mark_and_hang  # type: ignore[assignment]
    else:
        service.predict_songs = workload.hang  # type: ignore[assignment]
    main()
