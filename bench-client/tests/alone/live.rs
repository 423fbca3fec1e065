//! The live view of `load` on a terminal that is really one (`script` makes it), and its absence where there is none.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const PROGRAM: &str = env!("CARGO_BIN_EXE_bench-client");

/// Longer than this nothing here takes; the load itself would last ten minutes.
const PATIENCE: Duration = Duration::from_secs(90);

/// What a terminal is told when a view takes the screen, and when it gives it back.
const TAKES_SCREEN: &str = "\u{1b}[?1049h";
const GIVES_SCREEN_BACK: &str = "\u{1b}[?1049l";

struct Terminal {
    child: Child,
    shown: Arc<Mutex<Vec<u8>>>,
}

impl Terminal {
    /// Runs `load` for ten minutes on a terminal of 100 columns and 30 lines.
    fn load(more: &str) -> Self {
        let command = format!(
            "stty rows 30 cols 100; exec '{PROGRAM}' load --transport tcp --in-flight 2 --duration 600s --warmup 100ms {more}"
        );
        let mut child = Command::new("script")
            .args(["--quiet", "--return", "--command", &command, "/dev/null"])
            .env("TERM", "xterm")
            .env_remove("NO_COLOR")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("`script` of util-linux (apt install bsdutils) makes the terminal");
        let shown = Arc::new(Mutex::new(Vec::new()));
        let (mut output, collected) = (child.stdout.take().expect("it is piped"), shown.clone());
        std::thread::spawn(move || {
            let mut some = [0; 4_096];
            while let Ok(read @ 1..) = output.read(&mut some) {
                collected.lock().unwrap().extend(&some[..read]);
            }
        });
        Self { child, shown }
    }

    fn shown(&self) -> String {
        String::from_utf8_lossy(&self.shown.lock().unwrap()).into_owned()
    }

    /// Waits for a word. A screen is drawn cell by cell, blanks are jumped over: no more than a word comes in one piece.
    fn wait_for(&self, word: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.shown().contains(word) {
            assert!(
                Instant::now() < deadline,
                "'{word}' never came: {}",
                self.shown()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn press(&mut self, key: u8) {
        let keys = self.child.stdin.as_mut().expect("it is piped");
        keys.write_all(&[key]).and_then(|()| keys.flush()).unwrap();
    }

    /// Waits for its end; what was shown and the exit status.
    fn end(mut self) -> (String, Option<i32>) {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if Instant::now() > deadline {
                let _ = self.child.kill();
                panic!("it did not end: {}", self.shown());
            }
            std::thread::sleep(Duration::from_millis(50));
        };
        // The last of it may still be on its way.
        std::thread::sleep(Duration::from_millis(300));
        (self.shown(), status.code())
    }
}

/// What came after the view, its lines joined.
fn after_the_view(shown: &str) -> String {
    let (_, after) = shown
        .rsplit_once(GIVES_SCREEN_BACK)
        .unwrap_or_else(|| panic!("the screen was not given back: {shown}"));
    after.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn q_and_ctrl_c_end_the_window_and_the_summary_follows_on_the_screen_that_was_there() {
    let _turn = crate::turn();
    for key in [b'q', 3] {
        let mut terminal = Terminal::load("");
        terminal.wait_for(TAKES_SCREEN);
        terminal.wait_for("attempted,");
        terminal.press(key);
        let (shown, status) = terminal.end();
        assert_eq!(status, Some(0), "{shown}");
        assert!(shown.contains("carries"), "{shown}");
        let after = after_the_view(&shown);
        assert!(after.contains("ended by hand"), "{after}");
        assert!(
            after.contains("Ledger: ") && after.contains(", 0 lost"),
            "{after}"
        );
    }
}

#[test]
fn a_second_press_gives_the_run_up_and_the_screen_back() {
    let _turn = crate::turn();
    // From its second second on the service takes a minute for an order.
    let mut terminal = Terminal::load("--slow '0s..1s 1ms; 1s.. 60s' --timeout 300s --grace 300s");
    terminal.wait_for("attempted,");
    std::thread::sleep(Duration::from_secs(3));
    terminal.press(b'q');
    std::thread::sleep(Duration::from_secs(1));
    terminal.press(b'q');
    let (shown, status) = terminal.end();
    assert_eq!(status, Some(1), "{shown}");
    let after = after_the_view(&shown);
    assert!(after.contains("interrupted"), "{after}");
}

#[test]
fn with_no_tui_or_without_a_terminal_there_is_no_view() {
    let _turn = crate::turn();
    let (shown, status) = Terminal::load("--no-tui --count 100").end();
    assert_eq!(status, Some(0), "{shown}");
    assert!(
        shown.contains("Ledger: ") && !shown.contains(TAKES_SCREEN),
        "{shown}"
    );
    let piped = Command::new(PROGRAM)
        .args(["load", "--transport", "tcp", "--count", "100"])
        .args(["--warmup", "0s"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&piped.stdout);
    assert!(
        text.contains("Ledger: ") && !text.contains('\u{1b}'),
        "{text}"
    );
}
