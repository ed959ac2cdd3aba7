#pragma once
#include <cstdint>
#include <vector>

namespace apps {

// Which experts are chosen by the same token.
class CoSelection {
  public:
    // Above this many cells nothing is counted: the matrices would be too large to look at.
    static constexpr std::int64_t kMostCells = 512;

    // `choices` of a row.
    CoSelection(std::int64_t cells, std::int64_t choices);

    // ids (N,choices) row-major; an id below 0 chose nobody, one that stands twice in a row counts once.
    void add(const std::vector<std::int32_t>& ids);

    // Below two choices, or above kMostCells, there is nothing to see.
    bool counted() const { return !together_.empty(); }
    std::int64_t cells() const { return cells_; }
    // Rows that chose both, (E,E) row-major; on the diagonal the rows that chose one.
    const std::vector<double>& together() const { return together_; }
    // How many of them loads alone would give; 0 on the diagonal.
    std::vector<double> expected() const;

  private:
    std::int64_t cells_, choices_;
    double rows_ = 0;  // that chose any
    std::vector<double> together_;
};

}  // namespace apps
