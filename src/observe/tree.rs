//! Which process belongs to which root, by what all processes tell of themselves. Asks the system nothing.

use std::collections::HashMap;

use super::sample::Root;
use crate::domain::RunId;

/// What tells where a process belongs.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub pid: u32,
    pub parent: Option<u32>,
    pub session: Option<u32>,
    /// When it began; only the order counts.
    pub began: u64,
    /// The run whose mark it carries.
    pub run: Option<RunId>,
}

/// The processes of each root.
#[derive(Debug)]
pub(super) struct Trees {
    /// In the order of the roots; a parent before its children, the main process first.
    pids: Vec<Vec<u32>>,
    owners: HashMap<u32, Option<usize>>,
}

impl Trees {
    /// Sorts `members` under `roots`. Whoever is main process, or in the session of one, is that root's; else whose
    /// parent is; else whose mark it carries.
    pub fn grow(roots: &[Root], members: &[Member]) -> Self {
        let by_pid: HashMap<u32, &Member> = members.iter().map(|member| (member.pid, member)).collect();
        let mut owners = Owners {
            mains: roots.iter().enumerate().filter_map(|(number, root)| Some((root.pid?, number))).collect(),
            runs: roots.iter().enumerate().map(|(number, root)| (&root.run, number)).collect(),
            by_pid: &by_pid,
            known: HashMap::new(),
        };
        let mut own: Vec<Vec<&Member>> = vec![Vec::new(); roots.len()];
        for member in members {
            if let Some(number) = owners.owner(member) {
                own[number].push(member);
            }
        }
        let pids = roots.iter().zip(&own).map(|(root, own)| in_order(root.pid, own)).collect();
        Self { pids, owners: owners.known }
    }

    /// For each root its processes.
    pub fn of_roots(&self) -> impl Iterator<Item = &[u32]> {
        self.pids.iter().map(Vec::as_slice)
    }

    /// The processes of all roots.
    pub fn pids(&self) -> impl Iterator<Item = u32> {
        self.pids.iter().flatten().copied()
    }

    /// Those of `members` that belong to no root.
    pub fn unclaimed(&self, members: &[Member]) -> impl Iterator<Item = u32> {
        members.iter().map(|member| member.pid).filter(|pid| !self.owners.get(pid).is_some_and(Option::is_some))
    }
}

struct Owners<'m> {
    mains: HashMap<u32, usize>,
    runs: HashMap<&'m RunId, usize>,
    by_pid: &'m HashMap<u32, &'m Member>,
    known: HashMap<u32, Option<usize>>,
}

impl Owners<'_> {
    fn owner(&mut self, member: &Member) -> Option<usize> {
        // The line of ancestors up to one that is known or tells by itself.
        let mut line = Vec::new();
        let mut next = Some(member);
        let mut owner = None;
        while let Some(member) = next {
            if let Some(known) = self.known.get(&member.pid) {
                owner = *known;
                break;
            }
            // Numbers that were given away during the scan could close a circle.
            self.known.insert(member.pid, None);
            line.push(member);
            owner = self.by_itself(member);
            if owner.is_some() {
                break;
            }
            next = member.parent.and_then(|parent| self.by_pid.get(&parent).copied());
        }
        for member in line.into_iter().rev() {
            owner = owner.or_else(|| member.run.as_ref().and_then(|run| self.runs.get(run).copied()));
            self.known.insert(member.pid, owner);
        }
        owner
    }

    fn by_itself(&self, member: &Member) -> Option<usize> {
        let main = self.mains.get(&member.pid);
        main.or_else(|| self.mains.get(&member.session?)).copied()
    }
}

/// Depth first: the tree of `main`, then those whose parents are elsewhere; the older before the younger.
fn in_order(main: Option<u32>, own: &[&Member]) -> Vec<u32> {
    let mut children: HashMap<u32, Vec<&Member>> = HashMap::new();
    let mut tops = Vec::new();
    for member in own {
        match member.parent {
            Some(parent) if Some(member.pid) != main && own.iter().any(|other| other.pid == parent) => {
                children.entry(parent).or_default().push(member);
            }
            Some(_) | None => tops.push(*member),
        }
    }
    // What is pushed last comes first.
    let youngest_first = |member: &&Member| (std::cmp::Reverse(member.began), std::cmp::Reverse(member.pid));
    tops.sort_by_key(|member| (Some(member.pid) == main, youngest_first(member)));
    let mut ordered = Vec::with_capacity(own.len());
    while let Some(member) = tops.pop() {
        ordered.push(member.pid);
        let mut next = children.remove(&member.pid).unwrap_or_default();
        next.sort_by_key(youngest_first);
        tops.append(&mut next);
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ServiceId;

    fn root(id: &str, pid: Option<u32>) -> Root {
        Root { id: ServiceId::new(id).unwrap(), pid, run: RunId::new(&format!("run-{id}")) }
    }

    fn member(pid: u32, parent: u32, session: u32) -> Member {
        Member { pid, parent: Some(parent), session: Some(session), began: u64::from(pid), run: None }
    }

    fn marked(run: &str, member: Member) -> Member {
        Member { run: Some(RunId::new(run)), ..member }
    }

    fn grown(roots: &[Root], members: &[Member]) -> Vec<Vec<u32>> {
        Trees::grow(roots, members).of_roots().map(<[u32]>::to_vec).collect()
    }

    #[test]
    fn descendants_session_and_mark_make_a_service() {
        let members = [
            member(1, 0, 1),
            member(50, 1, 50),
            member(100, 50, 100),
            member(101, 100, 100),
            member(102, 101, 102),
            member(103, 1, 100),
            marked("run-a", member(104, 1, 104)),
            member(105, 104, 104),
            marked("run-x", member(106, 1, 106)),
            member(200, 50, 200),
        ];
        let roots = [root("a", Some(100)), root("b", Some(200)), root("c", None)];
        assert_eq!(grown(&roots, &members), [vec![100, 101, 102, 103, 104, 105], vec![200], vec![]]);
        let trees = Trees::grow(&roots, &members);
        assert_eq!(trees.unclaimed(&members).collect::<Vec<_>>(), [1, 50, 106]);
    }

    #[test]
    fn the_nearest_root_counts_before_an_inherited_mark() {
        // A service that was started by another carries both in its line.
        let members = [member(10, 1, 10), marked("run-a", member(20, 10, 20)), marked("run-a", member(21, 20, 20))];
        assert_eq!(grown(&[root("a", Some(10)), root("b", Some(20))], &members), [vec![10], vec![20, 21]]);
    }

    #[test]
    fn a_service_without_main_process_keeps_what_is_left_of_it() {
        let members = [marked("run-a", member(30, 1, 10)), member(31, 30, 10)];
        assert_eq!(grown(&[root("a", None)], &members), [vec![30, 31]]);
    }

    #[test]
    fn siblings_come_by_age_each_with_its_own_behind_it() {
        let members = [member(14, 12, 10), member(13, 10, 10), member(12, 10, 10), member(10, 1, 10)];
        assert_eq!(grown(&[root("a", Some(10))], &members), [vec![10, 12, 14, 13]]);
    }

    #[test]
    fn a_circle_of_parents_ends() {
        let members = [member(11, 12, 1), member(12, 11, 1), member(10, 10, 10)];
        assert_eq!(grown(&[root("a", Some(10))], &members), [vec![10]]);
    }
}
