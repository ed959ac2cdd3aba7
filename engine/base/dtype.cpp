#include "engine/base/dtype.h"

namespace engine {

const char* dtype_name(Dtype dtype) {
    switch (dtype) {
        case Dtype::f32:
            return "float32";
        case Dtype::f64:
            return "float64";
        case Dtype::bf16:
            return "bfloat16";
        case Dtype::i32:
            return "int32";
        case Dtype::i64:
            return "int64";
    }
    return "unknown";
}

}  // namespace engine
