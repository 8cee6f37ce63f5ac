// std::complex of an ap_int, which nothing here uses and which clang's library declares otherwise.
