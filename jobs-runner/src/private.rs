//! What generated code names. Not public: it changes with the macros, in any release.
