//! Whatever happens in the middle of a rotation, every line is there once and in its order.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::logs::files::LogFiles;
use crate::logs::index::LogIndex;
use crate::logs::tail::Tail;
use crate::logs::{Query, read};

const KEEP_ALL: LogPolicy = LogPolicy { max_size: 10_000, keep: 99 };

/// A log on some file system, and all that was ever written to it.
struct Bench {
    _folder: tempfile::TempDir,
    dir: StateDir,
    id: ServiceId,
    way: Way,
    log: File,
    lines: usize,
}

impl Bench {
    fn on(folder: &Path, way: Way) -> Self {
        let folder = tempfile::tempdir_in(folder).unwrap();
        let (dir, id) = (StateDir::new(folder.path()), ServiceId::new("web").unwrap());
        fs::create_dir_all(dir.service(&id)).unwrap();
        let log = OpenOptions::new().append(true).create(true).open(dir.log(&id)).unwrap();
        Self { _folder: folder, dir, id, way, log, lines: 0 }
    }

    /// One on each kind of file system that is at hand.
    fn each() -> Vec<Self> {
        let folders = [std::env::temp_dir(), "/dev/shm".into()].into_iter().filter(|folder| folder.is_dir());
        let bench = |folder: std::path::PathBuf| {
            let way = system::way(&tempfile::tempfile_in(&folder).unwrap()).unwrap();
            Self::on(&folder, way)
        };
        let mut each: Vec<Self> = folders.map(bench).collect();
        each.push(Self::on(&std::env::temp_dir(), Way::Empty));
        eprintln!("ways: {:?}", each.iter().map(|bench| bench.way).collect::<Vec<_>>());
        each
    }

    fn write(&mut self, lines: usize) {
        let text: String = (self.lines..self.lines + lines).map(line).collect();
        self.log.write_all(text.as_bytes()).unwrap();
        self.lines += lines;
    }

    fn read(&self) -> Vec<String> {
        let reading = read(&self.dir, std::slice::from_ref(&self.id), &Query::default()).unwrap();
        reading.map(|line| String::from_utf8(line.unwrap().bytes).unwrap()).collect()
    }

    fn expect_all(&self, when: &str) {
        let expected: Vec<String> = (0..self.lines).map(|number| line(number).trim_end().to_owned()).collect();
        let read = self.read();
        let differs = read.iter().zip(&expected).position(|(read, expected)| read != expected);
        assert!(read == expected, "{when}, {:?}: {} of {}, from {differs:?}", self.way, read.len(), expected.len());
    }

    fn rotate(&self, policy: LogPolicy) -> Rotated {
        rotate_by(&self.dir, &self.id, policy, Some(self.way), &mut |_| Ok(())).unwrap().unwrap()
    }

    /// Dies before the step of this number; false if there are not so many.
    fn die_at(&self, number: usize, policy: LogPolicy) -> bool {
        let mut steps = 0;
        let mut witness = |_| {
            steps += 1;
            if steps > number { Err(io::Error::other("dead")) } else { Ok(()) }
        };
        rotate_by(&self.dir, &self.id, policy, Some(self.way), &mut witness).is_err()
    }

    fn pieces(&self) -> Vec<u64> {
        let size = |number| fs::metadata(self.dir.log_piece(&self.id, number)).ok().map(|piece| piece.len());
        (1..).map_while(size).collect()
    }

    fn tail(&self) -> Tail {
        let files = LogFiles::open(&self.dir, &self.id).unwrap().unwrap();
        Tail::of(&self.dir, &self.id, files, 0, false).unwrap()
    }
}

fn line(number: usize) -> String {
    format!("line {number} {}.\n", "x".repeat(number * 7 % 83))
}

fn follow(tail: &mut Tail) -> Vec<String> {
    let mut written = Vec::new();
    while tail.catch_up(&mut written, Duration::from_secs(3600)).unwrap() {}
    written.into_iter().map(|line| String::from_utf8(line.bytes).unwrap()).collect()
}

#[test]
fn a_log_beyond_its_size_is_moved_in_whole_pieces_and_nothing_is_lost() {
    for mut bench in Bench::each() {
        bench.write(10);
        assert_eq!(bench.rotate(KEEP_ALL).moved, 0);
        assert!(!bench.dir.log_record(&bench.id).exists(), "a short log is left alone");
        for _ in 0..20 {
            bench.write(300);
            assert!(bench.rotate(KEEP_ALL).moved > 0);
            bench.expect_all("after a rotation");
            let files = LogFiles::open(&bench.dir, &bench.id).unwrap().unwrap();
            assert!(length(&files.place().unwrap()) <= KEEP_ALL.max_size);
        }
        let pieces = bench.pieces();
        if bench.way != Way::Empty {
            assert!(pieces.len() > 20);
            assert!(pieces.iter().all(|size| *size == 8192), "{pieces:?}");
            let blocks = fs::metadata(bench.dir.log(&bench.id)).unwrap().blocks();
            assert!(blocks * 512 <= 3 * 4096, "the space is free again: {blocks}");
        }
    }
}

#[test]
fn a_death_at_any_step_neither_loses_nor_doubles_a_line() {
    for number in 0.. {
        let mut died = false;
        for mut bench in Bench::each() {
            bench.write(300);
            let mut tail = bench.tail();
            let mut followed = follow(&mut tail);
            bench.rotate(KEEP_ALL);
            bench.write(700);
            died |= bench.die_at(number, KEEP_ALL);
            let when = format!("dead before step {number}");
            bench.expect_all(&when);
            bench.write(50);
            bench.expect_all(&when);
            if number % 2 == 0 {
                followed.extend(follow(&mut tail));
            }
            // The next one may die at once again.
            bench.die_at(1, KEEP_ALL);
            bench.expect_all(&when);
            bench.rotate(KEEP_ALL);
            bench.expect_all(&format!("mended after being {when}"));
            assert!(!bench.dir.log_copy(&bench.id).exists());
            let record = LogRecord::load(&bench.dir.log_record(&bench.id)).unwrap().unwrap();
            assert_eq!(record.step, LogStep::Rest);
            followed.extend(follow(&mut tail));
            assert_eq!(followed, bench.read(), "followed, {when}");
        }
        if !died {
            assert!(number > 9, "only {number} steps");
            break;
        }
    }
}

#[test]
fn readers_see_every_line_once_between_any_two_steps() {
    for mut bench in Bench::each() {
        let (dir, id, way) = (bench.dir.clone(), bench.id.clone(), bench.way);
        bench.write(300);
        let (mut tail, mut late) = (bench.tail(), bench.tail());
        let mut followed = Vec::new();
        for _ in 0..3 {
            bench.write(900);
            rotate_by(&dir, &id, KEEP_ALL, Some(way), &mut |point| {
                bench.write(3);
                bench.expect_all(&format!("before {point:?}"));
                followed.extend(follow(&mut tail));
                assert_eq!(followed.len(), bench.lines, "before {point:?}");
                Ok(())
            })
            .unwrap();
        }
        assert_eq!(followed, bench.read());
        assert_eq!(follow(&mut late), followed, "who comes late reads the older files");
    }
}

#[test]
fn no_more_than_is_wished_is_kept_and_always_the_newest() {
    for mut bench in Bench::each() {
        for keep in [2, 3, 0, 1] {
            let policy = LogPolicy { keep, ..KEEP_ALL };
            for lines in [300, 3000, 500] {
                bench.write(lines);
                bench.rotate(policy);
                assert!(bench.pieces().len() <= keep as usize, "{:?} of {keep}", bench.pieces());
                let read = bench.read();
                if bench.way == Way::Empty && keep == 0 {
                    continue;
                }
                // The first may lack its beginning.
                let whole = read.len() - 1;
                let expected = (bench.lines - whole..bench.lines).map(line);
                assert!(read.iter().skip(1).map(|line| format!("{line}\n")).eq(expected), "{keep}");
            }
        }
    }
}

#[test]
fn a_follower_that_is_left_behind_goes_on_with_what_is_kept() {
    for mut bench in Bench::each().into_iter().filter(|bench| bench.way != Way::Empty) {
        bench.write(100);
        let mut tail = bench.tail();
        assert_eq!(follow(&mut tail).len(), 100);
        bench.write(3000);
        bench.rotate(LogPolicy { keep: 1, ..KEEP_ALL });
        let followed = follow(&mut tail);
        let expected = (bench.lines + 1 - followed.len()..bench.lines).map(line);
        assert!(followed.iter().skip(1).map(|line| format!("{line}\n")).eq(expected));
        assert!(followed.len() > 100);
    }
}

#[test]
fn a_log_that_somebody_has_emptied_is_rotated_as_what_it_is_now() {
    for mut bench in Bench::each() {
        bench.write(1000);
        bench.rotate(KEEP_ALL);
        let before = bench.pieces().len();
        bench.log.set_len(0).unwrap();
        bench.write(1000);
        bench.rotate(KEEP_ALL);
        assert!(bench.pieces().len() > before);
        let read = bench.read();
        let expected = (1001..2000).map(|number| line(number).trim_end().to_owned());
        assert!(read[read.len() - 999..].iter().cloned().eq(expected), "{:?}", bench.way);
    }
}

#[test]
fn times_hold_across_rotations() {
    for mut bench in Bench::each().into_iter().filter(|bench| bench.way != Way::Empty) {
        let mut index = LogIndex::new(bench.dir.clone());
        bench.write(1000);
        let began = Timestamp::now();
        index.mark(&bench.id);
        bench.rotate(KEEP_ALL);
        let marked = Timestamp::now();
        // The index counts milliseconds; the lines that follow are written in a later one.
        while Timestamp::now().as_millisecond() <= marked.as_millisecond() {
            std::thread::yield_now();
        }
        let query = Query { since: Some(Timestamp::now()), ..Query::default() };
        bench.write(1000);
        for _ in 0..2 {
            let reading = read(&bench.dir, std::slice::from_ref(&bench.id), &query).unwrap();
            let lines: Vec<_> = reading.map(Result::unwrap).collect();
            assert_eq!(lines.len(), 1000, "{:?}", bench.way);
            // What the index tells in between is an estimate, but never one from before the mark.
            let is_later = |at: Timestamp| at.as_millisecond() >= began.as_millisecond();
            assert!(lines.iter().all(|line| line.at.is_some_and(is_later)), "{:?}, began at {began}", lines[0].at);
            index.mark_written(&bench.id);
            bench.rotate(KEEP_ALL);
        }
    }
}

#[test]
fn a_missing_log_is_none() {
    let bench = &Bench::each()[0];
    fs::remove_file(bench.dir.log(&bench.id)).unwrap();
    assert_eq!(rotate(&bench.dir, &bench.id, KEEP_ALL).unwrap(), None);
}

#[test]
fn what_would_be_pushed_out_at_once_is_not_even_copied() {
    let plan = |length, keep| Plan::of(length, LogPolicy { max_size: 10_000, keep }, 4096);
    assert_eq!(plan(10_000, 3), Plan::default());
    assert_eq!(plan(10_001, 3), Plan { dropped: 0, pieces: 1, piece: 8192 });
    assert_eq!(plan(10_000 + 8192, 3), Plan { dropped: 0, pieces: 1, piece: 8192 });
    assert_eq!(plan(10_001 + 8192, 3), Plan { dropped: 0, pieces: 2, piece: 8192 });
    assert_eq!(plan(100_000, 3), Plan { dropped: 8 * 8192, pieces: 3, piece: 8192 });
    assert_eq!(plan(10_001, 0), Plan { dropped: 8192, pieces: 0, piece: 8192 });
    let tiny = Plan::of(8192, LogPolicy { max_size: 1, keep: 3 }, 4096);
    assert_eq!(tiny, Plan { dropped: 0, pieces: 1, piece: 4096 });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_course_of_writing_dying_and_following_loses_or_doubles_a_line(
        course in proptest::collection::vec((0_u8..4, 0_usize..400), 1..25),
        way in 0_usize..3,
    ) {
        let Some(mut bench) = Bench::each().into_iter().nth(way) else { return Ok(()) };
        let mut tail = bench.tail();
        let mut followed = Vec::new();
        for (what, amount) in course {
            match what {
                0 => bench.write(amount),
                1 => drop(bench.rotate(KEEP_ALL)),
                2 => drop(bench.die_at(amount % 25, KEEP_ALL)),
                _ => followed.extend(follow(&mut tail)),
            }
        }
        bench.expect_all("at the end");
        followed.extend(follow(&mut tail));
        prop_assert_eq!(followed, bench.read());
    }
}
