//! A bar chart of CPU time per request as multiples of the bare proxy, readable on light and on dark ground.

use crate::contenders::Kind;
use crate::figures::{Figure, Row};

const BAR_HEIGHT: f64 = 16.0;
const GAP: f64 = 26.0;
const LEFT: f64 = 190.0;
const WIDTH: f64 = 860.0;
/// Room for the number behind the longest bar.
const RIGHT: f64 = 60.0;

pub fn cpu(rows: &[Row]) -> String {
    let rows: Vec<(&Row, f64)> =
        rows.iter().filter(|row| row.figure == Figure::CpuUs.name()).filter_map(|row| row.ratio.map(|ratio| (row, ratio))).collect();
    let longest = rows.iter().map(|(_, ratio)| *ratio).fold(1.0, f64::max);
    let per_ratio = (WIDTH - LEFT - RIGHT) / longest;
    let (mut top, mut scenario, mut drawn) = (0.0, "", String::new());
    for (row, ratio) in rows {
        if row.scenario != scenario {
            scenario = &row.scenario;
            top += GAP;
            drawn += &format!("<text x=\"4\" y=\"{:.0}\" font-weight=\"bold\">{scenario}</text>\n", top - 6.0);
        }
        let (middle, end) = (top + BAR_HEIGHT - 4.0, LEFT + ratio * per_ratio);
        drawn += &format!(
            "<text x=\"{:.0}\" y=\"{middle:.0}\" text-anchor=\"end\">{}</text><rect x=\"{LEFT}\" y=\"{top:.0}\" width=\"{:.1}\" height=\"{:.0}\" fill=\"{}\"/>\
             <text x=\"{:.1}\" y=\"{middle:.0}\">{ratio:.2}</text>\n",
            LEFT - 8.0,
            row.contender,
            end - LEFT,
            BAR_HEIGHT - 3.0,
            colour(&row.contender),
            end + 6.0,
        );
        top += BAR_HEIGHT;
    }
    let one = LEFT + per_ratio;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" font-family=\"sans-serif\" font-size=\"12\" fill=\"#808080\">\n\
         <title>CPU time per request, as multiples of a bare proxy</title>\n{drawn}\
         <line x1=\"{one:.1}\" y1=\"0\" x2=\"{one:.1}\" y2=\"{height:.0}\" stroke=\"#808080\" stroke-dasharray=\"3 3\"/>\n</svg>\n",
        height = top + 10.0
    )
}

fn colour(contender: &str) -> &'static str {
    if contender == Kind::Steward.name() { "#d9730d" } else { "#6b8cae" }
}
