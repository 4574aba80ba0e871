//! Shuts a process in: so much memory, what is already open, and nothing else of the system.
//!
//! For work on hostile bytes by code that is not memory-safe. Whoever takes the process over by them finds neither file,
//! network, nor other program: the kernel ends it at the first call that is not on the list (seccomp, in force for every
//! thread that is started later). Landlock would add nothing to a list without a call that opens anything.

use rustix::process::{Resource, Rlimit, Signal, set_parent_process_death_signal, setrlimit};

/// Why a process could not be shut in. It must not go on then.
#[derive(Debug, thiserror::Error)]
pub enum ConfineError {
    #[error("the limits of the process cannot be set: {0}")]
    Limits(#[from] std::io::Error),
    #[error("the list of permitted system calls cannot be set (seccomp): {0}")]
    Calls(String),
}

/// Shuts in the calling thread and all that it starts; there is no way back. It ends with the thread that started it.
///
/// On processors other than x86-64, aarch64 and riscv64 only the limits hold, because `seccompiler` knows no others.
///
/// # Errors
/// [`ConfineError`] when the system does not allow it.
pub fn confine(most_memory: u64) -> Result<(), ConfineError> {
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(std::io::Error::from)?;
    // Three files are open (input, output, complaints) and no fourth may be; nothing is written to disk, not even a core.
    let limits =
        [(Resource::As, most_memory), (Resource::Nofile, 3), (Resource::Fsize, 0), (Resource::Core, 0)];
    for (resource, most) in limits {
        setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })
            .map_err(std::io::Error::from)?;
    }
    forbid_calls()
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64"))]
fn forbid_calls() -> Result<(), ConfineError> {
    use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch};

    let failed = |error: &dyn std::fmt::Display| ConfineError::Calls(error.to_string());
    let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(|error| failed(&error))?;
    let rules = permitted().map_err(|error| failed(&error))?;
    let filter = SeccompFilter::new(rules, SeccompAction::KillProcess, SeccompAction::Allow, arch);
    let filter: BpfProgram = filter.and_then(TryInto::try_into).map_err(|error| failed(&error))?;
    seccompiler::apply_filter(&filter).map_err(|error| failed(&error))
}

/// What is left: reading and writing what is open, memory that is not executed, waiting, the end.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64"))]
fn permitted()
-> Result<std::collections::BTreeMap<i64, Vec<seccompiler::SeccompRule>>, seccompiler::BackendError> {
    use seccompiler::{SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompRule};

    let when =
        |argument, operator, value| SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value);
    let file = |number| SeccompRule::new(vec![when(0, SeccompCmpOp::Eq, number)?]);
    let executable = libc::PROT_EXEC as u64;
    let unexecuted = || when(2, SeccompCmpOp::MaskedEq(executable), 0);
    // Of no file: one that was left open by whoever started us stays out of reach.
    let anonymous = libc::MAP_ANONYMOUS as u64;
    let of_no_file = when(3, SeccompCmpOp::MaskedEq(anonymous), anonymous)?;
    let mut rules: std::collections::BTreeMap<i64, Vec<SeccompRule>> = [
        libc::SYS_munmap,
        libc::SYS_mremap,
        libc::SYS_madvise,
        libc::SYS_brk,
        libc::SYS_futex,
        libc::SYS_sched_yield,
        libc::SYS_sched_getaffinity,
        libc::SYS_clock_gettime,
        libc::SYS_getrandom,
        libc::SYS_rt_sigreturn,
        libc::SYS_sigaltstack,
        libc::SYS_exit,
        libc::SYS_exit_group,
    ]
    .into_iter()
    .map(|call| (call, Vec::new()))
    .collect();
    rules.insert(libc::SYS_read, vec![file(0)?]);
    rules.insert(libc::SYS_write, vec![file(1)?, file(2)?]);
    rules.insert(libc::SYS_mmap, vec![SeccompRule::new(vec![unexecuted()?, of_no_file])?]);
    rules.insert(libc::SYS_mprotect, vec![SeccompRule::new(vec![unexecuted()?])?]);
    Ok(rules)
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64")))]
fn forbid_calls() -> Result<(), ConfineError> {
    Ok(())
}
