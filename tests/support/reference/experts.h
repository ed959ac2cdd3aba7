#pragma once
// E experts of G cells, one choice after another, with the chain rule written out.
#include "tests/support/reference/layers.h"
#include "tests/support/reference/matrix.h"

namespace tests::reference {

struct ExpertSums {
    Size E, C, G;
    bool glu;
    std::string kind;
    Matrix x, dy, w1, w2, w3, y, dx, dw1, dw2, dw3;

    ExpertSums(const nn::OptionTable& options, const Arrays& in)
        : E(options.size("n_experts")),
          C(in.at("x").shape.columns()),
          G(options.size("expert_size")),
          glu(options.flag("glu", false)),
          kind(options.word("activation", "relu")),
          x(in.at("x")),
          dy(in.at("dy")),
          w1(parameter(in, "experts.w1", {E, C, G})),
          w2(parameter(in, "experts.w2", {E, G, C})),
          w3(glu ? parameter(in, "experts.w3", {E, C, G}) : Matrix()),
          y(x.rows, C),
          dx(x.rows, C),
          dw1(E * C, G),
          dw2(E * G, C),
          dw3(E * C, G) {}

    // Adds gate·expert e of row n, and what dy sends back; returns the gate's gradient.
    double add(Size n, Size e, double gate) {
        double dgate = 0;
        for (Size g = 0; g < G; ++g) {
            double u = 0, v = glu ? 0 : 1, back = 0;
            for (Size c = 0; c < C; ++c) {
                u += x(n, c) * w1(e * C + c, g);
                if (glu) v += x(n, c) * w3(e * C + c, g);
                back += dy(n, c) * w2(e * G + g, c);
            }
            double a = act(kind, u) * v, du = gate * back * slope(kind, u) * v, dv = gate * back * act(kind, u);
            dgate += a * back;
            for (Size c = 0; c < C; ++c) {
                y(n, c) += gate * a * w2(e * G + g, c);
                dw2(e * G + g, c) += gate * a * dy(n, c);
                dw1(e * C + c, g) += du * x(n, c);
                dx(n, c) += du * w1(e * C + c, g);
                if (glu) dw3(e * C + c, g) += dv * x(n, c);
                if (glu) dx(n, c) += dv * w3(e * C + c, g);
            }
        }
        return dgate;
    }
    // y, dx and the experts' gradients, in x's shape.
    void put_into(Arrays& out, const engine::Shape& shape) const {
        out["y"] = {shape, y.values};
        out["dx"] = {shape, dx.values};
        out["grad.experts.w1"] = {{E, C, G}, dw1.values};
        out["grad.experts.w2"] = {{E, G, C}, dw2.values};
        if (glu) out["grad.experts.w3"] = {{E, C, G}, dw3.values};
    }
};

}  // namespace tests::reference
