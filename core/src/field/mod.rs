//! One parser per header field. Parsing is total: bad input falls to the safe side, never to an error.
