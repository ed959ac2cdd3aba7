#include "apps/json_lines.h"
#include "apps/report_summary.h"
#include "apps/seed_groups.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

namespace apps {
namespace {

// Closer than this, one does not speak of a winner.
constexpr double kEqualBits = 0.0005;

// A run, or runs that differ only in their seed: `run` is the first of them, `bits` their mean.
struct Score {
    const RunReport* run;
    double bits, deviation;
    std::string name;
    std::string text() const { return fmt::format("{:.3f}", bits) + (std::isfinite(deviation) ? fmt::format(" ± {:.3f}", deviation) : ""); }
};

std::vector<Score> scores_of(const std::vector<RunReport>& runs, const std::string& split) {
    std::vector<Score> scores;
    for (const SeedGroup& group : seed_groups(runs)) {
        ValueSpread bits = last_bits(runs, group, split);
        std::size_t seeds = group.runs.size();
        std::string name = seeds > 1 ? fmt::format("{} ({} seeds)", group.name, seeds) : group.name;
        // A seed that has no finite value spoils the mean of its group.
        bool whole = bits.values.size() == seeds;
        scores.push_back({&runs[group.runs.front()], whole ? bits.mean : NAN, bits.deviation, name});
    }
    return scores;
}

std::string times(double ratio) { return fmt::format("{:.2f}×", ratio); }

// "0.98× the parameters, 0.61× the FLOPs per token and 1.20× the time"; what is unknown is left out.
std::string cost_text(const RunReport& run, const RunReport& other) {
    std::vector<std::string> parts;
    auto add = [&](double mine, double its, const char* what) {
        if (std::isfinite(mine) && its > 0) parts.push_back(times(mine / its) + what);
    };
    add(run.plan.parameters, other.plan.parameters, " the parameters");
    add(run.plan.forward_flops, other.plan.forward_flops, " the FLOPs per token");
    RunSummary mine = summarise(run), its = summarise(other);
    add(mine.tokens, its.tokens, " the tokens");
    add(mine.seconds, its.seconds, " the time");
    if (parts.empty()) return "";
    std::string last = parts.back();
    parts.pop_back();
    return parts.empty() ? last : fmt::format("{} and {}", fmt::join(parts, ", "), last);
}

std::string of_one(const RunReport& run, const std::string& split) {
    RunSummary summary = summarise(run);
    if (const EvaluationRecord* last = last_evaluation(run, split); last != nullptr && std::isfinite(last->bits_per_byte)) {
        const EvaluationRecord* best = best_evaluation(run, split);
        std::string earlier = best->step < last->step && best->bits_per_byte < last->bits_per_byte - kEqualBits
                                  ? fmt::format("; its best was {:.3f} at step {}", best->bits_per_byte, best->step)
                                  : "";
        return fmt::format("{} reached {:.3f} bits per byte on {} text at step {}{}.", run.name, last->bits_per_byte, split, last->step,
                           earlier);
    }
    if (std::isfinite(summary.train_loss)) {
        return fmt::format("{} has no evaluation; its training loss is {:.3f} nats per token at step {}.", run.name, summary.train_loss,
                           summary.steps);
    }
    return fmt::format("{} has no losses to show.", run.name);
}

std::string of_alone(const Score& score, const std::string& split) {
    if (std::isnan(score.deviation)) return of_one(*score.run, split);
    return fmt::format("{} reached {} bits per byte on {} text.", score.name, score.text(), split);
}

std::string of_two(const Score& ahead, const Score& behind, const std::string& split) {
    double gap = behind.bits - ahead.bits;
    std::string cost = cost_text(*ahead.run, *behind.run);
    if (!cost.empty()) cost.insert(0, ", at ");
    if (gap < kEqualBits) {
        return fmt::format("{} and {} are level on {} text: {} bits per byte{}.", ahead.name, behind.name, split, ahead.text(), cost);
    }
    return fmt::format("{} is ahead of {} on {} text: {} bits per byte against {}, {:.3f} ({:.1f} %) fewer{}.", ahead.name, behind.name,
                       split, ahead.text(), behind.text(), gap, 100 * gap / behind.bits, cost);
}

std::string of_many(const std::vector<Score>& scores, const RunReport& first, const std::string& split, const char* what) {
    const Score& best = scores.front();
    std::string text = fmt::format("{} is ahead of the other {} {} on {} text: {} bits per byte; next is {} with {}, last {} with {}.",
                                   best.name, scores.size() - 1, what, split, best.text(), scores[1].name, scores[1].text(),
                                   scores.back().name, scores.back().text());
    std::string cost = best.run == &first ? "" : cost_text(*best.run, first);
    return cost.empty() ? text : fmt::format("{} It takes {} of {}.", text, cost, first.name);
}

// Bits per byte of different texts do not compare.
std::string caution(const std::vector<RunReport>& runs, const std::string& split) {
    double bytes = last_evaluation(runs.front(), split)->bytes;
    for (const RunReport& run : runs) {
        double other = last_evaluation(run, split)->bytes;
        if (std::isfinite(bytes) && std::isfinite(other) && other != bytes) {
            return fmt::format(" Mind: they were evaluated on different texts ({} and {} bytes).", bytes, other);
        }
    }
    return "";
}

}  // namespace

std::string verdict(const std::vector<RunReport>& runs) {
    std::string split = common_split(runs);
    if (runs.size() == 1) return of_one(runs.front(), split);
    if (split.empty()) {
        bool none = std::all_of(runs.begin(), runs.end(), [](const RunReport& run) { return run.evaluations.empty(); });
        std::string all;
        for (const RunReport& run : runs) all += fmt::format(" {}", of_one(run, "valid"));
        return (none ? "No run was evaluated on held-out text yet." : "The runs have no split in common on which all were evaluated.") +
               (runs.size() > 3 ? "" : all);
    }
    std::vector<Score> scores = scores_of(runs, split);
    bool one_each = scores.size() == runs.size();
    auto broken = std::stable_partition(scores.begin(), scores.end(), [](const Score& score) { return std::isfinite(score.bits); });
    std::string lost;
    for (auto score = broken; score != scores.end(); ++score) lost += fmt::format(" {} has no finite value there.", score->name);
    scores.erase(broken, scores.end());
    std::stable_sort(scores.begin(), scores.end(), [](const Score& a, const Score& b) { return a.bits < b.bits; });
    std::string text = fmt::format("No run has a finite value on the {} text.", split);
    if (scores.size() == 1) text = of_alone(scores.front(), split);
    if (scores.size() == 2) text = of_two(scores[0], scores[1], split);
    if (scores.size() > 2) text = of_many(scores, runs.front(), split, one_each ? "runs" : "groups of runs");
    return text + (scores.empty() ? "" : lost) + caution(runs, split);
}

}  // namespace apps
