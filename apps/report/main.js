"use strict";
// The document (report_document.cpp): verdict, split, budgets, differences, groups (runs that differ only in their seed), and runs; a run has summary, notes, problems, curve
// (columns of equal length), evaluations, layers (usage of experts: columns, and loads at chosen steps), samples, config.

readAddress();
onChange(applyTheme);
watchTheme();
makeHeader();
makeNotes();
makeSummary();
makeSeeds();
makeControls();
onChange(drawControls);
if (runs.some((run) => run.curve.records + run.evaluations.length > 0)) {
  makeLoss();
  makeMultiples();
} else {
  for (const part of ["controls", "loss-section", "multiples-section"]) byId(part).hidden = true;
}
makeBudgets();
makeCost();
makeExperts();
makeParts();
makeSamples();
makeSettings();
makeFooter();
addEventListener("hashchange", () => { readAddress(); change({}); });
