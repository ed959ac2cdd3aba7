#include "nn/gradient_sums.h"

#include "engine/comm/shares.h"
#include "engine/cuda/runtime.h"
#include "engine/memory/memory_log.h"

#include <algorithm>

namespace nn {

using namespace engine;

namespace {

// Buckets on their way to the ranks that sum them.
constexpr int kDepth = 4;
// Elements of a bucket: so few that those on their way are a sixteenth of the gradients, between these bounds; but enough for a message
// that is worth its latency to each rank.
constexpr Size kLeast = Size{1} << 12, kMost = Size{1} << 20, kLeastSlice = Size{1} << 11;

Size bucket_elements(const ParameterStore& store, int ranks) {
    return std::max(std::clamp(store.pass_gradient().size(0) / 64, kLeast, kMost), ranks * kLeastSlice);
}

// What a rank needs of a bucket, and what stands between, counted from the bucket's first element.
ParameterStore::Range hull_within(const std::vector<ParameterStore::Range>& needed, const ParameterStore::Range& bucket) {
    Size first = bucket.end(), end = bucket.first;
    for (const ParameterStore::Range& range : needed) {
        ParameterStore::Range both = overlap(range, bucket);
        if (both.elements == 0) continue;
        first = std::min(first, both.first);
        end = std::max(end, both.end());
    }
    return {std::min(first, end) - bucket.first, std::max<Size>(0, end - first)};
}

}  // namespace

GradientSums::GradientSums(Exec& exec, ParameterStore& store, Reduction reduction, const Needed& needed, Size bucket)
    : exec_(exec), store_(store), reduction_(reduction) {
    if (rank_count(exec) == 1) return;
    cut(bucket > 0 ? bucket : bucket_elements(store, rank_count(exec)));
    Communicator& all = *exec.communicator;
    for (Bucket& each : buckets_) {
        if (each.sharers > 1) replicas_.try_emplace(each.sharers, all, replicas_of(all.rank(), all.size(), each.sharers));
        if (each.sharers > 1 || store.ranks_of_cut() == 1) continue;
        for (const auto& of_rank : needed) each.needed.push_back(hull_within(of_rank, each.range));
    }
}

void GradientSums::cut(Size most) {
    for (const auto* places : {&store_.places(), &store_.uses()}) {
        for (const ParameterStore::Place& place : *places) parts_.push_back({.place = &place, .first_bucket = 0, .last_bucket = 0});
    }
    std::ranges::sort(parts_, {}, [](const Part& part) { return part.place->offset; });
    bool joins = false;
    for (Part& part : parts_) {
        part_of_.emplace(part.place->parameter->var.identity(), static_cast<std::size_t>(&part - parts_.data()));
        Size elements = part.place->elements, pieces = (elements + most - 1) / most, piece = (elements + pieces - 1) / pieces;
        joins = joins && pieces == 1 && buckets_.back().sharers == part.place->sharers &&
                buckets_.back().range.end() == part.place->offset && buckets_.back().range.elements + elements <= most;
        part.first_bucket = buckets_.size() - (joins ? 1 : 0);
        for (Size done = 0; done < elements; done += piece) {
            append({part.place->offset + done, std::min(piece, elements - done)}, part, joins);
        }
        part.last_bucket = buckets_.size() - 1;
        joins = pieces == 1;
    }
}

void GradientSums::append(const ParameterStore::Range& range, const Part& part, bool joins) {
    if (!joins) buckets_.push_back({.range = {range.first, 0}, .sharers = part.place->sharers, .needed = {}});
    buckets_.back().range.elements += range.elements;
    buckets_.back().parameters += 1;
}

void GradientSums::begin() {
    begun_ = 0;
    ready_.clear();
    if (buckets_.empty()) return;
    MemoryScope scope("gradient sums");
    for (Bucket& bucket : buckets_) bucket.missing = bucket.parameters;
    for (Part& part : parts_) part.complete = false;
    beside_ = exec_;
    if (void* stream = exec_.communicator->side_stream(); stream != nullptr) beside_.stream = stream;
    Size most = std::ranges::max(buckets_, {}, [](const Bucket& bucket) { return bucket.range.elements; }).range.elements;
    sums_.emplace(beside_, store_.pass_gradient().dtype(), most, std::min(kDepth, static_cast<int>(buckets_.size())));
}

void GradientSums::complete(Part& part) {
    if (part.complete) return;
    part.complete = true;
    store_.end_gradient(exec_, *part.place);
    for (std::size_t i = part.first_bucket; i <= part.last_bucket; ++i) {
        if (--buckets_[i].missing == 0) ready_.push_back(i);
    }
}

// Of the buckets that must wait for others to leave, a quarter: a large parameter's sums are spread over the nodes that follow.
void GradientSums::after_node(std::span<const Var> complete_ones) {
    if (buckets_.empty()) return;
    for (const Var& parameter : complete_ones) {
        if (auto part = part_of_.find(parameter.identity()); part != part_of_.end()) complete(parts_[part->second]);
    }
    std::size_t left = ready_.size() * 3 / 4;
    while (ready_.size() > left || (!ready_.empty() && !sums_->is_full())) {
        std::size_t next = ready_.front();
        ready_.pop_front();
        start(buckets_[next]);
    }
    exec_.communicator->advance();
}

void GradientSums::finish() {
    if (buckets_.empty()) return store_.end_pass(exec_);
    for (Part& part : parts_) complete(part);
    for (; !ready_.empty(); ready_.pop_front()) start(buckets_[ready_.front()]);
    sums_->finish();
    if (beside_.stream != exec_.stream) cuda::follow(exec_.stream, beside_.stream);
    sums_.reset();
}

void GradientSums::start(const Bucket& bucket) {
    begun_ += 1;
    if (beside_.stream != exec_.stream) cuda::follow(beside_.stream, exec_.stream);
    Tensor elements = store_.pass_gradient().view_at(bucket.range.first, {bucket.range.elements}, bucket.range.elements);
    Communicator& ranks = ranks_of(bucket);
    if (reduction_ == Reduction::fast && ranks.has_plain_sum()) {
        ranks.plain_sum(beside_, elements);
    } else {
        sums_->add(ranks, elements, bucket.needed);
    }
}

Communicator& GradientSums::ranks_of(const Bucket& bucket) {
    return bucket.sharers > 1 ? replicas_.at(bucket.sharers) : *exec_.communicator;
}

}  // namespace nn
