//! The live view of `load` on a terminal: a thread of its own that owns the screen and the keys, and looks at what the
//! generator publishes. What that costs is said in [`crate::load::live`].

mod draw;
mod view;

use crate::load::live::EVERY;
use crate::load::{Stop, Watch};
use draw::draw;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyModifiers};
use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;
use view::View;

/// The view while it is on the screen; the screen is given back when this is dropped, however the run ends.
pub(super) struct Live {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// Whether there is a person at a terminal who sees it and can press a key.
pub(super) fn is_possible() -> bool {
    let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
    std::io::stdout().is_terminal() && std::io::stdin().is_terminal() && !is_dumb
}

impl Live {
    /// Takes the screen. Keys reach this view from here on, Ctrl-C too.
    pub(super) fn start(title: String, stop: Stop, watch: Watch) -> anyhow::Result<Self> {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let view = View::new(title, stop, !refused);
        let over = Arc::new(AtomicBool::new(false));
        let told = over.clone();
        let terminal = ratatui::try_init()?;
        let thread = std::thread::Builder::new()
            .name("live-view".into())
            .spawn(move || show(terminal, view, &watch, &told));
        if thread.is_err() {
            ratatui::restore();
        }
        Ok(Self {
            over,
            thread: Some(thread?),
        })
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A view that panicked has given the screen back already; the run is not its business.
            let _ = thread.join();
        }
        ratatui::restore();
    }
}

fn show(mut terminal: DefaultTerminal, mut view: View, watch: &Watch, over: &AtomicBool) {
    let began = Instant::now();
    while !over.load(Ordering::Relaxed) {
        view.age = began.elapsed();
        if let Some(glance) = watch.look() {
            view.observe(glance);
        }
        if terminal.draw(|frame| draw(frame, &view)).is_err() {
            return;
        }
        watch.spend(bench_host::cpu::thread_cpu_ns());
        let next = Instant::now() + EVERY;
        // Keys are answered at once, and never draw more often than that.
        while let Some(left) = next.checked_duration_since(Instant::now())
            && !over.load(Ordering::Relaxed)
        {
            match event::poll(left) {
                Ok(true) => match event::read() {
                    Ok(pressed) if is_end(&pressed) => end(&mut view, watch),
                    Ok(_) => {}
                    Err(_) => return,
                },
                Ok(false) => {}
                Err(_) => return,
            }
        }
    }
}

fn is_end(event: &Event) -> bool {
    let Event::Key(key) = event else {
        return false;
    };
    let is_interrupt =
        key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
    key.is_press() && (is_interrupt || key.code == KeyCode::Char('q'))
}

/// The first time the window ends, and its summary is printed; the second time the run is given up, as by any signal.
fn end(view: &mut View, watch: &Watch) {
    if view.ending {
        // If it cannot be raised the run goes on to its end, which is near.
        let _ = nix::sys::signal::raise(nix::sys::signal::Signal::SIGTERM);
    }
    view.ending = true;
    watch.halt();
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::crossterm::event::{KeyEvent, KeyEventKind};

    fn key(code: char, modifiers: KeyModifiers) -> KeyEvent {
        KeyEvent::new(KeyCode::Char(code), modifiers)
    }

    #[test]
    fn q_and_ctrl_c_end_the_window_and_no_other_key_does() {
        assert!(is_end(&Event::Key(key('q', KeyModifiers::NONE))));
        assert!(is_end(&Event::Key(key('c', KeyModifiers::CONTROL))));
        assert!(!is_end(&Event::Key(key('c', KeyModifiers::NONE))));
        assert!(!is_end(&Event::Key(key('x', KeyModifiers::NONE))));
        assert!(!is_end(&Event::Resize(80, 24)));
        let released = KeyEvent {
            kind: KeyEventKind::Release,
            ..key('q', KeyModifiers::NONE)
        };
        assert!(!is_end(&Event::Key(released)));
    }

    #[test]
    fn the_first_press_asks_for_the_end() {
        let watch = Watch::default();
        let mut view = View::new("planted".into(), Stop::default(), false);
        end(&mut view, &watch);
        assert!(view.ending && watch.is_halted());
    }
}
