#pragma once
#include "engine/autograd/tape.h"
#include "nn/module.h"
#include "nn/options.h"

namespace moe {

// What product keys are asked with: q = norm(x·w + b), H heads of D columns. The projection is the module "query", the norm "query_norm".
class KeyQuery {
  public:
    // Reads query_size and query_norm. `weight`, `bias`: how the projection begins.
    KeyQuery(const nn::OptionTable& options, nn::Size channels, nn::Size heads, nn::Initial weight, nn::Initial bias);

    nn::Size size() const { return size_; }  // D
    nn::Var forward(engine::Tape& tape, const nn::Var& x_NC);
    nn::Size parameters() const;

    class Projection : public nn::Module {
      public:
        nn::Parameter w, b;
        void begin(nn::Size channels, nn::Size columns, nn::Initial weight, nn::Initial bias);
    };
    enum class NormKind { none, batch, layer };
    class Norm : public nn::Module {
      public:
        NormKind kind = NormKind::none;
        nn::Parameter weight, bias;
        nn::State mean, variance;
        void begin(nn::Size columns);
    };
    Projection& projection() { return projection_; }
    Norm& norm() { return norm_; }

  private:
    nn::Size channels_, columns_, size_;
    Projection projection_;
    Norm norm_;
};

}  // namespace moe
