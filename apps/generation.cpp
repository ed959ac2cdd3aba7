#include "apps/generation.h"

#include "engine/base/error.h"
#include "engine/tensor/transfer.h"

#include <algorithm>

namespace apps {

using namespace engine;

Generator::Generator(Exec& exec, nn::LanguageModel& model, Size memory, Size context) : exec_(exec), model_(model), context_(context) {
    std::string why = model.refuses_decoding();
    expect(why.empty(), "generate", "{}", why);
    cache_.limit = memory;
}

void Generator::read(const std::vector<std::int32_t>& ids) {
    experts_.clear();
    bool fixed = model_.most_positions() > 0;
    for (std::size_t first = 0; first < ids.size();) {
        if (fixed && static_cast<Size>(window_.size()) == context_) slide();
        std::size_t count = std::min(ids.size() - first, static_cast<std::size_t>(context_) - window_.size());
        auto begin = ids.begin() + static_cast<std::ptrdiff_t>(first), end = begin + static_cast<std::ptrdiff_t>(count);
        read_window({begin, end});
        if (fixed) window_.insert(window_.end(), begin, end);
        first += count;
    }
}

void Generator::slide() {
    Size kept = std::max(context_ / 2, model_.prefix());
    window_.erase(window_.begin(), window_.end() - kept);
    cache_ = {.limit = cache_.limit};
    ++slides_;
    if (window_.empty()) return;
    std::vector<TokenExperts> shown = std::move(experts_);
    read_window(window_);
    experts_ = std::move(shown);
}

void Generator::read_window(const std::vector<std::int32_t>& ids) {
    Size count = static_cast<Size>(ids.size());
    Tape tape(exec_, false, false);
    nn::ModelResult result = model_.decode(tape, from_host(exec_, {1, count}, Dtype::i32, ids), cache_);
    const Tensor& logits = result.logits_NV.value();
    logits_ = to_host<float>(exec_, logits.reshaped({count, logits.size(-1)}).row_range(count - 1, 1));
    std::size_t before = experts_.size();
    experts_.resize(before + ids.size());
    for (const nn::LayerReport& report : result.layers) {
        if (!report.routing.ids.defined()) continue;
        std::vector<std::int32_t> chosen = to_host<std::int32_t>(exec_, report.routing.ids);
        std::size_t K = chosen.size() / ids.size();
        for (std::size_t t = 0; t < ids.size(); ++t) {
            TokenExperts& layers = experts_[before + t];
            layers.resize(std::max(layers.size(), static_cast<std::size_t>(report.layer) + 1));
            layers[static_cast<std::size_t>(report.layer)].assign(chosen.begin() + static_cast<std::ptrdiff_t>(t * K),
                                                                  chosen.begin() + static_cast<std::ptrdiff_t>((t + 1) * K));
        }
    }
}

std::int32_t Generator::next(const SamplingOptions& options) {
    expect(!logits_.empty(), "generate", "nothing was read yet; hint: give a prompt of at least one token");
    std::int32_t id = sample(logits_, options, drawn_++);
    read({id});
    return id;
}

}  // namespace apps
