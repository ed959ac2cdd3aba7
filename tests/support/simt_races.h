#pragma once
// Kernels that are compiled with the race detector's hooks in every build but those of AddressSanitizer (tests/CMakeLists.txt).
namespace simt_races {

bool watched();

void read_unwritten();
void write_write();
void write_then_read();
void read_then_write();
void missing_second_barrier();
void shuffle_is_no_barrier();
void read_between_slots();
void blocks_write_one_place();
void blocks_read_each_other();
void global_without_barrier();
void right_block_exchange(int* y);
void right_warp_exchange(int* y);
void right_reductions(float* y);
void right_global(int* y);
void right_atomics(int* y);

}  // namespace simt_races
