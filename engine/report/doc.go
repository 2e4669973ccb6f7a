// Package report turns training runs into an answer with its evidence: which
// batch size and rate to use, why, and how sure that is.
//
//	folders ──Load──▶ Runs ──New──▶ Report ──▶ WritePage      report.html, one file
//	sweep store ──┘    (package analysis)  ├─▶ WriteMarkdown  report.md
//	                                       └─▶ Figures        PNG and SVG (package figure)
//
// [Load] reads sweep folders, run folders and folders of them. What is damaged is
// said and left out; the rest is reported. [New] groups the runs into problems,
// fits and ranks them by package analysis, and words the result: an [Answer] of a
// sentence and a few [Card]s, [Chart]s with their formulas and sources, and tables.
// The page, the Markdown and the figures show that one value and compute nothing.
//
// The page needs no network and no server: uPlot (assets/uplot, MIT licence,
// version 1.6.32 as the npm registry has it) is inside. All text that comes from
// files is escaped, and the page's content policy forbids it to load anything.
//
// Nothing here trains or prints, and files are only read until [Report.Save].
package report
