// The losses of `qanat search` on the page: read from its log, lines `name table loss error samples [best]`, those of an operator together.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/tables/tables.h"
#include "tools/html.h"
#include "tools/report.h"

enum { LEAST_WORDS = 5, MOST_WORDS = 6 };

static int find_table(Report *report, const char *name) {
    for (int i = 0; i < report->search_table_count; i++)
        if (!strcmp(report->search_tables[i], name)) return i;
    if (report->search_table_count == MAX_TABLES) return -1;
    report->search_tables[report->search_table_count] = arena_strdup(report->model->arena, name);
    return report->search_table_count++;
}

static const Value *find_result(const Report *report, const char *name) {
    const Value *value = func_find_value(module_main(report->model->imported), name);
    return value && value->def && value->def->kind != OP_constant ? value : NULL;
}

static ReportLoss *loss_for(TableState *state, Report *report, const Value *value) {
    const int count = report->search_count;
    if (count && report->search[count - 1].value == value) return &report->search[count - 1];
    report->search = table_grown(state, report->search, count, sizeof *report->search);
    ReportLoss *loss = &report->search[report->search_count++];
    *loss = (ReportLoss){.value = value};
    for (int t = 0; t < MAX_TABLES; t++) loss->loss[t] = NAN;
    return loss;
}

static void take_line(TableState *state, const TableWord *words) {
    Report *report = state->out;
    const TableWord *word[MOST_WORDS] = {0};
    int count = 0;
    for (const TableWord *at = words; at; at = at->next, count++)
        if (count < MOST_WORDS) word[count] = at;
    if (count < LEAST_WORDS || count > MOST_WORDS) {
        table_fault(state, words->place, "expected `name table loss error samples`, as `qanat search` writes its log");
        return;
    }
    const Value *value = find_result(report, words->text);
    const int table = find_table(report, word[1]->text);
    double samples;
    char *end;
    const double loss = strtod(word[2]->text, &end); // of outputs that are no numbers: infinite
    if (!value) {
        table_fault(state, words->place, "the model has no such operator; is it the log of another model");
    } else if (table < 0) {
        table_fault(state, word[1]->place, "more tables than a search has");
    } else if (end == word[2]->text || *end) {
        table_fault(state, word[2]->place, "expected a loss");
    } else if (table_number(state, word[4], &samples)) {
        ReportLoss *own = loss_for(state, report, value);
        own->loss[table] = samples > 0 && isfinite(loss) ? loss : NAN;
        if (word[5]) own->best = table, own->samples = samples;
    }
}

static void no_comment(TableState *state, const char *text) { (void)state, (void)text; }

bool report_read_search(Report *report, const char *path) {
    TableState state = {.arena = report->model->arena, .diag = report->model->diag, .path = path, .take_line = take_line,
                        .take_comment = no_comment, .out = report};
    return table_read(&state);
}

// Those of a network with the same names, but for what quantizing leaves out.
void report_find_search(Report *report) {
    int found = 0;
    for (int k = 0; k < report->search_count; k++) {
        ReportLoss *loss = &report->search[k];
        for (int i = 0; i < report->tensor_count && !loss->tensor; i++)
            if (report->tensors[i].op && value_is_called(report->tensors[i].value, loss->value->name)) loss->tensor = &report->tensors[i];
        if (loss->tensor) report->search[found++] = *loss;
    }
    report->search_count = found;
}

// ---- the section

static void loss_row(const Report *report, FILE *out, int index, double most) {
    const ReportLoss *own = &report->search[index];
    fprintf(out, "<tr><td class=\"n\" data-v=\"%d\">%d</td><td><a href=\"#t%d\"><code>", index, index, (int)(own->tensor - report->tensors));
    html_text(out, own->tensor->value->name);
    fprintf(out, "</code></a></td><td>%s</td><td>", op_info(own->tensor->op->kind)->name);
    html_text(out, report->search_tables[own->best]);
    fputs("</td>", out);
    for (int t = 0; t < report->search_table_count; t++) {
        if (!(own->loss[t] == own->loss[t])) fputs("<td class=\"n\" data-v=\"\"></td>", out);
        else if (t == own->best) fprintf(out, "<td class=\"n bar\" data-v=\"%.9g\" style=\"--w:%.1f%%\">%.3g</td>", own->loss[t], most > 0 ? fmax(0, 100 * own->loss[t] / most) : 0, own->loss[t]);
        else fprintf(out, "<td class=\"n\" data-v=\"%.9g\">%.3g</td>", own->loss[t], own->loss[t]);
    }
    fprintf(out, "<td class=\"n\" data-v=\"%.0f\">%.0f</td></tr>\n", own->samples, own->samples);
}

static void loss_table(const Report *report, FILE *out, double most) {
    fputs("<div class=\"scroll\"><table class=\"sortable\"><thead><tr><th class=\"n\"><button type=\"button\">#</button></th><th><button type=\"button\">tensor</button></th>"
          "<th><button type=\"button\">operator</button></th><th><button type=\"button\">best</button></th>", out);
    for (int t = 0; t < report->search_table_count; t++) {
        fputs("<th class=\"n\"><button type=\"button\">", out);
        html_text(out, report->search_tables[t]);
        fputs("</button></th>", out);
    }
    fputs("<th class=\"n\"><button type=\"button\">samples</button></th></tr></thead><tbody>\n", out);
    for (int i = 0; i < report->search_count; i++) loss_row(report, out, i, most);
    fputs("</tbody></table></div>", out);
}

void report_search(const Report *report, FILE *out) {
    if (!report->model->options->search) return;
    Arena *arena = report->model->arena;
    SvgColumn *columns = ARENA_ARRAY(arena, SvgColumn, report->search_count + 1);
    double most = 0;
    for (int i = 0; i < report->search_count; i++) {
        const ReportLoss *own = &report->search[i];
        const double loss = own->loss[own->best];
        most = fmax(most, loss);
        columns[i] = (SvgColumn){fmax(0, loss), NAN, arena_printf(arena, "%s (%s): %.3g with table %s", own->tensor->value->name, op_info(own->tensor->op->kind)->name, loss,
                                                         report->search_tables[own->best]), 0};
    }
    fputs("<section id=\"search\"><h2>What <code>search</code> found</h2>\n", out);
    if (!report->search_count) {
        fputs("<p>The log names no operator: the int8 network was good enough as it is.</p></section>\n", out);
        return;
    }
    fputs("<p>Loss of the network's output when one operator alone is in int8, by its best table, the worst operator first; and by every table.</p>\n", out);
    svg_columns(out, "loss by operator", "", "operator, the worst first", report->search_count, columns);
    loss_table(report, out, most);
    fputs("</section>\n", out);
}
