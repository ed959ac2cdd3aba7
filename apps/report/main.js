"use strict";
// The document (report_document.cpp): verdict, split, budgets, differences, and runs; a run has summary, notes, problems, curve
// (columns of equal length), evaluations, layers (usage of experts: columns, and loads at chosen steps), samples, config.

readAddress();
onChange(applyTheme);
watchTheme();
makeHeader();
makeNotes();
makeSummary();
makeControls();
onChange(drawControls);
makeLoss();
makeMultiples();
makeBudgets();
makeCost();
makeExperts();
makeParts();
makeSamples();
makeSettings();
makeFooter();
addEventListener("hashchange", () => { readAddress(); change({}); });
