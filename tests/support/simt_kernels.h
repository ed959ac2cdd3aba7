#pragma once
// Small kernels for the tests of simt, right and wrong ones, compiled like a .cu file (tests/support/simt_kernels.cpp).
#include <string>
#include <vector>

namespace simt_kernels {

// Right ones.
std::vector<int> thread_numbers(unsigned blocks, unsigned threads);
std::vector<float> block_sums(const std::vector<float>& x, unsigned blocks, unsigned threads);
std::vector<float> block_maxima(const std::vector<float>& x, unsigned blocks, unsigned threads);
std::vector<int> reverse_through_shared(const std::vector<int>& x, unsigned threads);
std::vector<int> shuffled(const char* which, int argument, int width);
std::vector<unsigned> votes(unsigned mask);
std::vector<long long> shuffled_wide();
int count_with_atomics(unsigned blocks, unsigned threads);
std::vector<int> coordinates(unsigned x, unsigned y, unsigned z);
float unwritten_shared();
float unwritten_dynamic(std::size_t bytes);
void nothing(unsigned blocks, unsigned threads, std::size_t dynamic_bytes);
void barriers(unsigned threads, int count);

// Wrong ones: what they throw.
void other_barrier();
void early_exit();
void barrier_in_branch();
void missing_lane();
void mask_lacks_caller();
void source_outside_mask();
void mask_beyond_block();
void two_shuffles();
void too_much_static();
void too_much_dynamic();
void write_behind_shared();
void launch_in_kernel();
// A kernel with an object on its stack; counts its constructions and destructions while the block fails.
void fails_with_objects(int* alive);
// Threads exchange through shared memory without a barrier: the result depends on their order.
std::vector<int> missing_barrier(unsigned threads);

}  // namespace simt_kernels
