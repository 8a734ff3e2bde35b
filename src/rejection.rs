//! Every refusal and what the client sees of it: the only such place.
