#include "engine/base/philox.h"

#include <doctest/doctest.h>

using namespace engine;

// Known answers: Salmon et al., Random123 1.09, kat_vectors, philox4x32-10.
TEST_CASE("philox gives the published known answers") {
    Random4 zeros = philox(0, 0, 0);
    CHECK(zeros.value[0] == 0x6627e8d5u);
    CHECK(zeros.value[1] == 0xe169c58du);
    CHECK(zeros.value[2] == 0xbc57ac4cu);
    CHECK(zeros.value[3] == 0x9b00dbd8u);
    Random4 ones = philox(~0ull, ~0ull, ~0ull);
    CHECK(ones.value[0] == 0x408f276du);
    CHECK(ones.value[1] == 0x41c83b0eu);
    CHECK(ones.value[2] == 0xa20bc7c6u);
    CHECK(ones.value[3] == 0x6d5451fdu);
}
