//! larder-core: every caching decision of Larder.
