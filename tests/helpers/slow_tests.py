"""Which tests get the marker `slow`: by what they start, and by the time that they were measured to take.

`python tests/helpers/slow_tests.py build/test-report.xml` writes slow_tests.txt from the report of a full .ci/run on a
quiet machine with two cores.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path
from xml.etree import ElementTree as ET

BY_KIND = (
    *("experiments/engines/", "experiments/test_crashes.py", "cli/test_by_ray.py"),
    *("web/test_addresses.py", "web/test_appearance.py", "web/test_class_chooser.py", "web/test_hostile.py"),
    *("web/test_keyboard.py", "web/test_many_tabs.py", "web/test_server_gone.py", "web/test_uploads.py"),
    *("web/test_visits.py", "report/test_reports_in_a_browser.py", "explanations/test_notebook_in_a_browser.py"),
    *("test_readme.py", "test_notebooks.py", "test_survey.py::test_a_row_is_found_again", "test_real_models.py"),
    *("test_conformance.py", "metrics/test_metric_conformance.py", "test_random_networks.py", "models/test_paper.py"),
    *("report/test_report_of_runs.py", "cli/test_fidelity_command.py", "cli/test_explain.py::TestTour"),
    *("layers/test_layers.py::test_finds_the_layer_before_pooling", "cli/test_evaluate.py::test_reproduce"),
    *("tracing/test_head.py::test_head_equals_the_full_forward", "tracing/test_isolation.py::test_memory_is_flat"),
    *("game/test_structure_of_heads.py::test_the_structure_is_what_theory_says", "values/test_axioms.py"),
    *("values/test_front.py::test_many_seeds", "game/test_shortcuts_on_real_networks.py"),
    *("metrics/test_metric_traps.py::test_every_metric_", "game/test_coalitions.py::test_real_networks"),
    *(
        "web/test_ending.py",
        "web/test_real_proxies.py",
        "test_dockerfile.py::test_what_it_starts",
        "web/test_login.py",
        "cli/test_explain.py::TestPhotographs",
        "cli/test_compare.py",
        "test_docs.py",
        "test_coming_from.py",
    ),
    "docs_site/",
    *("cli/test_report_command.py", "test_public_names.py", "models/test_zero_shot.py", "tracing/test_threads.py"),
    *("compat/test_grad_cam_agrees.py", "explaining/test_while_training.py", "compat/test_torchcam_agrees.py"),
    *("tracing/test_attention.py", "game/test_structure_of_heads.py", "metrics/test_metric_oracles.py::test_road"),
    *("metrics/test_metric_options.py::test_the_package_has", "metrics/test_metric_traps.py::test_inside"),
    *("experiments/datasets/test_dataset_contract.py::test_goes", "explaining/test_fusing.py::test_the_mean"),
    *(
        "experiments/test_decoding.py::TestProcessesThatAreNotForked",
        "experiments/test_decoding.py::test_a_worker_ends",
    ),
    *("cams/test_methods.py::test_independent", "cams/test_methods.py::test_a_scale", "test_planted.py"),
    *("game/test_adversarial_heads.py", "values/test_interactions.py::test_sampled", "tracing/test_wrapped_code.py"),
    *("experiments/test_runner.py::TestRows::test_default_model", "metrics/test_metric_passes.py"),
    *("cli/test_your_model.py", "test_peers.py", "cli/test_evaluate.py", "game/test_proofs.py"),
    "models/test_detectors.py",
    *("layers/test_layout_proofs.py", "test_docstrings.py::test_the_example_runs"),
    *("game/test_windowed_heads.py::test_real_heads", "game/test_class_token_heads.py::test_real_heads"),
    *("game/test_windowed_heads.py::test_overlapping_maxima", "game/test_kept_class_tokens.py"),
    *("game/test_nearly_sums.py", "game/test_shortcuts_with_removal.py::test_coalitions_of_real_networks"),
    *("values/test_closed_form.py::test_real_heads", "values/test_attention_control.py"),
    *("values/test_control_variate.py", "values/test_surrogate_control.py"),
    *("values/test_permutation.py::test_two_hundred", "values/test_permutation.py::test_every_order_is_equally"),
    *("cams/test_conditional_rows.py", "cams/test_factorisations.py::test_pytorch_grad_cam", "cli/test_timings.py"),
    *("cams/test_methods.py::test_randomcam_weights", "smoothing/test_smoothing.py::test_every_method"),
    *("cli/test_removal_option.py::test_every_command", "cli/test_web_command.py::test_a_missing_extra"),
    *("cli/test_table.py::test_a_table_is_made", "cli/test_table.py::test_reproduce", "cli/test_file_names.py"),
    *("tracing/test_bfloat16_before_the_layer.py::test_fidelity", "web/test_fidelity_view.py::TestSampling"),
    *("tracing/test_head.py::test_head_", "values/test_closed_form.py", "game/test_windowed_heads.py"),
    *("game/test_class_token_heads.py", "game/test_shortcuts_with_removal.py", "models/test_next_token.py"),
    *("cams/test_masked_images.py::test_independent", "cams/test_masked_images.py::test_each_masked_image"),
    *("cams/test_guided_gradients.py::test_networks", "cams/test_full_gradient.py::test_all_terms"),
    *("cams/test_method_choice.py", "cams/test_factorisations.py::test_one_that", "cli/test_explain.py::TestOptions"),
    *("values/test_permutation.py::test_intervals", "values/test_permutation.py::test_each_image_stops"),
    *("values/test_other_values.py::test_sampled", "values/test_exact.py::test_shapiq", "cli/test_style_options.py"),
    *("tracing/test_isolation.py::test_eight_threads", "models/test_zoo.py::test_the_default_network_s_layers"),
    *("tracing/test_hooks_of_the_layer.py::test_hidden_states", "layers/test_layers.py::test_every_candidate"),
    *("cli/test_removal_option.py", "models/test_outputs.py::test_transformers_classifiers", "values/test_attention"),
)
"""Beginnings of tests that start processes, servers, browsers or commands, or run networks of full size."""
FIRST_LINE = (
    *("cams/test_methods.py", "cams/test_heatmaps.py", "cams/test_guided_gradients.py::test_by_pencil"),
    *("game/test_coalitions.py", "metrics/test_metric_oracles.py", "values/test_exact.py", "values/test_regions.py"),
    *("values/test_permutation.py::test_many_orders_come_to_the_exact_values", "test_structure.py", "test_security.py"),
    *("experiments/test_runner.py::TestRows", "experiments/test_runner.py::TestGoesOn", "experiments/test_store.py"),
    *("models/test_zoo.py", "web/test_explain_view.py", "web/test_coalitions_view.py"),
)
"""Beginnings of tests that are run while at work whatever time they take: what the library promises at its core."""
MEASURED = Path(__file__).with_name("slow_tests.txt")
LIMIT = 0.06
"""Seconds: a test is slow where its cases took as long on average, their fixtures included."""
_MEASURED = frozenset(MEASURED.read_text(encoding="utf-8").split())


def is_slow(nodeid: str) -> bool:
    """Return whether a test is left out while at work."""
    name = nodeid.removeprefix("tests/")
    return name.startswith(BY_KIND) or name.partition("[")[0] in _MEASURED


def slow_functions(report: Path) -> list[str]:
    """Return the tests of a JUnit report that are slow by their time alone, sorted, without parameters."""
    seconds = defaultdict(list)
    for case in ET.parse(report).iter("testcase"):  # noqa: S314  # what pytest wrote
        seconds[_function_of(case)].append(float(case.attrib["time"]))
    return sorted(
        name
        for name, times in seconds.items()
        if sum(times) / len(times) >= LIMIT and not name.startswith(BY_KIND + FIRST_LINE)
    )


def _function_of(case: ET.Element) -> str:
    """Return FILE::CLASS::FUNCTION of a case, as node ids have it."""
    parts = case.attrib["classname"].removeprefix("tests.").split(".")
    files = next(place for place, part in enumerate(parts, 1) if part.startswith("test_"))
    name = case.attrib["name"].partition("[")[0]
    return "::".join(["/".join(parts[:files]) + ".py", *parts[files:], name])


if __name__ == "__main__":
    MEASURED.write_text("\n".join(slow_functions(Path(sys.argv[1]))) + "\n", encoding="utf-8")
