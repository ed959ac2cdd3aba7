#include "engine/memory/scratch.h"

#include "engine/memory/pool.h"

namespace engine::scratch_memory {

namespace {
Pool& pool_for(Exec& exec) { return exec.pool != nullptr ? *exec.pool : pool_of(exec.device); }
}  // namespace

void* take_scratch(Exec& exec, Size bytes) { return pool_for(exec).take(static_cast<std::size_t>(bytes)); }
void give_back_scratch(Exec& exec, void* memory, Size bytes) { pool_for(exec).give_back(memory, static_cast<std::size_t>(bytes)); }

}  // namespace engine::scratch_memory
