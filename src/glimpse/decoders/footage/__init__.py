"""The parts of `decoders.video`, in the order in which a film goes through them:

    containers   which files are films, by their first bytes
    reader       the file as FFmpeg reads it
    endings      whether the file ends before it should
    opening      the container and its video stream, opened by PyAV
    track        the frames of that stream, in order, and what is damaged
    sampling     which way to the wanted frames is the cheapest
    packets      the packets that this is judged by
    moments      the frames that are on screen at given times
    shots        the frames where the picture changes, none of them blank or the same again
    looks        a frame as an upright RGB picture
    failures     what FFmpeg raises, as codes

Knows neither models nor where the bytes come from. Nothing here imports PyAV before a film is opened.
"""
