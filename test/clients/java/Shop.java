import com.sun.net.httpserver.HttpServer;
import java.net.HttpURLConnection;
import java.net.InetSocketAddress;
import java.net.URI;

/**
 * A shop of one page: it serves /checkout, asks itself for it N times over HTTP, and ends. It is run with the
 * OpenTelemetry Java agent, which makes the spans; nothing here knows of tracing. Usage: Shop.java N
 */
public class Shop {
  public static void main(String[] args) throws Exception {
    HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", 0), 0);
    server.createContext("/checkout", exchange -> {
      boolean empty = exchange.getRequestURI().getPath().endsWith("4");
      byte[] body = (empty ? "no items" : "ok").getBytes();
      exchange.sendResponseHeaders(empty ? 500 : 200, body.length);
      exchange.getResponseBody().write(body);
      exchange.close();
    });
    server.start();
    for (int i = 0; i < Integer.parseInt(args[0]); i++) {
      URI url = URI.create("http://127.0.0.1:" + server.getAddress().getPort() + "/checkout/" + i);
      HttpURLConnection connection = (HttpURLConnection) url.toURL().openConnection();
      connection.getResponseCode();
      connection.disconnect();
    }
    server.stop(0);
  }
}
