//! Where a node runs and what happens to it there: `deploy`, restarts, logs, cores.

use std::num::NonZero;

use super::{
    super::{
        fields::{Fields, Scope, place, scalar_text},
        keys,
        problem::quoted,
        size,
        source::parse_level,
        types::{Deploy, LogSpec, Restart, RestartPolicy},
        yaml::Value,
    },
    path, spanned,
};

/// Largest core number plus one that Linux' `cpu_set_t` holds.
const MAX_CORES: i128 = 1024;

/// `deploy` of the root or of a node; what it leaves out is taken from `base`.
pub(in crate::descriptor) fn read_deploy(
    scope: &mut Scope<'_>,
    fields: &mut Fields,
    base: &Deploy,
) -> Deploy {
    let mut deploy = base.clone();
    let Some(entries) = fields.map(scope, "deploy", "machine, labels and working_dir") else {
        return deploy;
    };
    let mut scope = scope.inside("`deploy`");
    let scope = &mut scope;
    let mut fields = Fields::sort(scope, entries, keys::DEPLOY, "`deploy`");
    if let Some(machine) = fields.parsed(scope, "machine", |text| text.parse()) {
        deploy.machine = Some(spanned(machine));
    }
    if let Some(folder) = path::read_working_dir(scope, &mut fields) {
        deploy.working_dir = Some(folder);
    }
    for entry in fields
        .map(scope, "labels", "labels to texts")
        .unwrap_or_default()
    {
        match scalar_text(&entry.value) {
            Some(value) => {
                deploy.labels.insert(entry.key, value);
            }
            None => {
                let found = entry.value.in_words();
                let label = quoted(&entry.key);
                scope.error(
                    place(&entry),
                    format!("label {label} must be text, found {found}"),
                );
            }
        }
    }
    deploy
}

pub(super) fn read_restart(scope: &mut Scope<'_>, fields: &mut Fields) -> Restart {
    let companions = [
        "max_restarts",
        "restart_delay",
        "max_restart_delay",
        "restart_window",
    ]
    .map(|name| (name, fields.position_of(name)));
    let policy_given = fields.position_of("restart_policy").is_some();
    let policy = fields.choice(
        scope,
        "restart_policy",
        &[
            ("never", RestartPolicy::Never),
            ("on-failure", RestartPolicy::OnFailure),
            ("always", RestartPolicy::Always),
        ],
    );
    let policy_broken = policy_given && policy.is_none();
    let restart = Restart {
        policy: policy.unwrap_or_default(),
        max: fields
            .whole(scope, "max_restarts", 0..=u32::MAX.into())
            .and_then(|max| NonZero::new(u32::try_from(max).unwrap_or(u32::MAX))),
        delay: fields.seconds(scope, "restart_delay", true),
        max_delay: fields.seconds(scope, "max_restart_delay", true),
        window: fields.seconds(scope, "restart_window", false),
    };
    for (name, at) in companions {
        let Some(at) = at else { continue };
        if restart.policy == RestartPolicy::Never && !policy_broken {
            scope.warn(
                at,
                format!("`{name}` has no effect without `restart_policy: on-failure` or `always`"),
            );
        }
        if name == "max_restart_delay" && restart.max_delay < restart.delay {
            scope.error(at, "`max_restart_delay` must be at least `restart_delay`");
        }
    }
    restart
}

pub(super) fn read_logs(scope: &mut Scope<'_>, fields: &mut Fields) -> LogSpec {
    LogSpec {
        stdout_as: fields
            .parsed(scope, "send_stdout_as", |t| t.parse())
            .map(|(port, _)| port),
        logs_as: fields
            .parsed(scope, "send_logs_as", |t| t.parse())
            .map(|(port, _)| port),
        min_level: fields
            .parsed(scope, "min_log_level", parse_level)
            .map(|(level, _)| level),
        max_size: size::read(scope, fields, "max_log_size"),
        max_rotated_files: fields
            .whole(scope, "max_rotated_files", 0..=100)
            .and_then(|files| u32::try_from(files).ok()),
    }
}

pub(super) fn read_cores(scope: &mut Scope<'_>, fields: &mut Fields) -> Vec<usize> {
    let items = fields
        .list(scope, "cpu_affinity", "core numbers")
        .unwrap_or_default();
    let mut cores = Vec::with_capacity(items.len());
    for item in items {
        match item.value {
            Value::Int(core) if (0..MAX_CORES).contains(&core) => {
                cores.extend(usize::try_from(core))
            }
            _ => {
                let found = item.in_words();
                let text = format!(
                    "an item of `cpu_affinity` must be a core number from 0 to 1023, found {found}"
                );
                scope.error(item.at, text);
            }
        }
    }
    cores.sort_unstable();
    cores.dedup();
    cores
}
