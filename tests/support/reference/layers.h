#pragma once
// Every layer of LAYERS.md that exists, in double, slowly, straight from its formula, with the chain rule written out.
#include "nn/options.h"
#include "tests/support/layer_program.h"

namespace tests::reference {

// `in` holds x, dy and every parameter under its name (memory where there is one); the options are those of the file, and `method` among
// them. Returns what Y must hold, param.* aside: y, dx, grad.*, and where the layer has them ids, gates and loss.*.
// The method's names of parameters and their shapes are checked on the way.
Arrays layer(const nn::OptionTable& options, const Arrays& in);

// The parts, by family.
Arrays block(const nn::OptionTable& options, const Arrays& in);
Arrays experts(const nn::OptionTable& options, const Arrays& in);
Arrays routers(const nn::OptionTable& options, const Arrays& in);
Arrays key_blocks(const nn::OptionTable& options, const Arrays& in);
Arrays hashed(const nn::OptionTable& options, const Arrays& in);
Arrays chosen_by_experts(const nn::OptionTable& options, const Arrays& in);
Arrays norm(const nn::OptionTable& options, const Arrays& in);
Arrays attention(const nn::OptionTable& options, const Arrays& in);
Arrays xl_attention(const nn::OptionTable& options, const Arrays& in);
Arrays spatial(const nn::OptionTable& options, const Arrays& in);

// relu, gelu, gelu-tanh, silu, identity and their derivatives; ReLU's at 0 is 0.
double act(const std::string& kind, double x);
double slope(const std::string& kind, double x);

}  // namespace tests::reference
